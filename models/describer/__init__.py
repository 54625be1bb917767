"""Texts for a listing that state only what is given."""
