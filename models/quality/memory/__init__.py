"""What the model knows of the catalogue it was trained on: what is usual, which values go together, which products there are."""
