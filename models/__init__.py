"""Plain torch models, one folder each, and what they share: training and evaluation."""
