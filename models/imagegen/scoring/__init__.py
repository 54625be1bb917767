"""The score that every image carries."""
