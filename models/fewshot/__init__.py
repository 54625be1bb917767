"""A new classifier from a handful of examples of each class."""
