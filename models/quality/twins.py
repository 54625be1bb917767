"""Listings made worse, and listings made anew of the same product: what the model learns from and is measured by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageEnhance

from catalog.corruption import KINDS, PART, TITLE_KINDS, Photo, corrupt
from catalog.images import DecodedPhoto, decode
from catalog.listing import Listing
from models.quality.answers import Axis, Candidate

ALL = (*KINDS, *TITLE_KINDS)
"""Every fault that the model is measured by."""
_SPELLINGS = (
    ("t-shirt", "tshirt"),
    ("tshirt", "t-shirt"),
    ("&", "and"),
    ("and", "&"),
    ("with", "w/"),
    ("men", "mens"),
    ("women", "womens"),
)


@dataclass(frozen=True)
class Twin:
    """A listing with a fault.

    Attributes:
        kind: Of `ALL`.
        of: Place of its original.
        candidate: With the fault.
    """

    kind: str
    of: int
    candidate: Candidate

    @property
    def axis(self) -> Axis:
        """What the fault is a fault of."""
        return PART[self.kind]  # type: ignore[return-value]


def twins(good: Sequence[Candidate], kinds: Sequence[str], rng: np.random.Generator) -> Iterator[Twin]:
    """Of each listing one with every kind of fault that it can carry; donors are other listings of the same.

    Photos are decoded already, or can be.
    """
    photos = [pixels(candidate.listing) for candidate in good]
    for i, candidate in enumerate(good):
        for kind in kinds:
            other = int((i + rng.integers(1, max(len(good), 2))) % len(good))
            made = corrupt(candidate.listing, photos[i], kind, (good[other].listing, photos[other]), rng)
            if made is not None:
                listing, photo = made
                image = listing.image if photo is photos[i] else None if photo is None else DecodedPhoto(photo)
                yield Twin(kind, i, replace(candidate, listing=replace(listing, image=image)))


def mended(twin: Twin, good: Candidate, axis: Axis) -> Candidate:
    """The twin with the part that an axis is about taken from its original: what a person does who is told to."""
    bad, own = twin.candidate.listing, good.listing
    match axis:
        case "title" | "description" | "price":
            listing = replace(bad, **{axis: getattr(own, axis)})
        case "photo" | "agreement":
            listing = replace(bad, image=own.image)
        case "attributes":
            listing = replace(bad, fields=own.fields, attributes=own.attributes)
        case _:
            listing = replace(bad, categories=own.categories)
    return replace(twin.candidate, listing=listing)


def pixels(listing: Listing) -> Photo | None:
    """The photo, decoded.

    Raises:
        ImageError: it cannot be.
    """
    return None if listing.image is None else decode(listing.image)


def reworded(listing: Listing, rng: np.random.Generator) -> Listing | None:
    """The same product under a title of other words: reordered, spelled otherwise, one word dropped. None for a short title."""
    words = (listing.title or "").split()
    if len(words) < 3:
        return None
    if len(words) > 3:
        words.pop(int(rng.integers(1, len(words))))
    turn = int(rng.integers(1, len(words)))
    words = words[turn:] + words[:turn] if rng.random() < 0.5 else words
    spelled = dict(_SPELLINGS)
    title = " ".join(spelled.get(word.lower(), word) for word in words)
    title = title.lower() if rng.random() < 0.3 else title
    return None if title == listing.title else replace(listing, title=title)


def photographed(listing: Listing, rng: np.random.Generator) -> Listing | None:
    """The same product in another photo: cropped, turned, mirrored, in other light. None without a photo."""
    photo = pixels(listing)
    if photo is None:
        return None
    image = Image.fromarray(photo)
    width, height = image.size
    left, top, right, bottom = rng.uniform(0, 0.15, size=4) * (width, height, width, height)
    image = image.crop((int(left), int(top), width - int(right), height - int(bottom)))
    image = image.rotate(float(rng.uniform(-8, 8)), fillcolor=(255, 255, 255))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.7, 1.3)))
    return replace(listing, image=DecodedPhoto(np.asarray(image, dtype=np.uint8)))
