"""The independent classifier that generated images are measured by, and distances between sets of images in its features."""
