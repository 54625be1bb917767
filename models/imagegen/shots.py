"""Photos with what they show in words: what a generator learns from."""

from dataclasses import dataclass

from catalog.images import DecodedPhoto
from models.imagegen.answers import Style


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo and its prompt.

    Attributes:
        text: What it shows.
        photo: The encoded bytes, or decoded.
        style: How it looks.
    """

    text: str
    photo: bytes | DecodedPhoto
    style: Style = "photorealistic"
