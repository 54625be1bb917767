"""Errors of this package; each is one line that says what, where and what is allowed."""

from configs.errors import VitrinaError


class CatalogueError(VitrinaError):
    """A catalogue directory, or a file that should become one, cannot be used."""


class ImageError(VitrinaError):
    """A photo cannot be decoded, or must not be."""
