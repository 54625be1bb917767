"""One script a claim, each against a peer in the same run."""
