"""Controlled faults in good listings: what the quality head learns to find. Pure functions of their input and a generator.

A fault is put into one part of a listing; `corrupt` answers None where a listing cannot carry it, so that no good
listing is ever labelled faulty. Donors are other products of the same catalogue.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from catalog.errors import CatalogueError
from catalog.listing import Listing
from configs.schema import FaultKind

KINDS: tuple[str, ...] = get_args(FaultKind)
"""Names of the faults that `product` looks for; a fault's place is its index in its quality head."""
TITLE_KINDS = ("poor_title", "stuffed_title", "swapped_title")
"""Faults of titles, for models that judge a title by itself."""
PART: Mapping[str, str] = {
    "poor_title": "title",
    "stuffed_title": "title",
    "swapped_title": "title",
    "truncated_description": "description",
    "swapped_description": "description",
    "blurred_image": "photo",
    "dark_image": "photo",
    "missing_attributes": "attributes",
    "mismatched_image": "agreement",
    "wrong_category": "category",
    "wrong_price": "price",
}
"""What each fault is a fault of: a part of the listing, or how photo and text agree."""

Photo = NDArray[np.uint8]

KEPT_TEXT = (0.1, 0.5)
"""Share of the characters that a truncated description keeps."""
BLUR_RADIUS = (0.03, 0.08)
"""Standard deviation of the Gaussian, as a share of the photo's shorter side."""
BRIGHTNESS = (0.1, 0.4)
"""Factor on every pixel of a dark photo."""
REMOVED_PAIRS = (0.6, 1.0)
"""Share of fields and attributes that are removed."""
PRICE_FACTOR = 10.0
MIN_TEXT = 20
"""Characters below which a description cannot be truncated: what is left would say as much as the whole."""
MIN_WORDS = 3
"""Words below which a title has too little to lose."""
KEPT_WORDS = 0.34
"""Share of the words that a poor title keeps, at most."""
HYPE = ("BEST PRICE", "!!! HURRY !!!", "*** SALE ***", "100% ORIGINAL!!!", ">> NEW <<")
"""What sellers put into titles to be found and seen."""
MIN_PAIRS = 3
"""Fields and attributes below which a listing has too little to lose."""


class Parts(Protocol):
    """A dataclass that holds a listing with normalised texts; '' and empty mean missing."""

    @property
    def title(self) -> str:
        """Plain text."""

    @property
    def description(self) -> str:
        """Plain text."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each descriptive field and attribute."""

    @property
    def price(self) -> float | None:
        """In the catalogue's currency."""

    @property
    def categories(self) -> tuple[str | None, ...]:
        """Coarse to fine."""


P = TypeVar("P", bound=Parts | Listing)


def corrupt(
    listing: P, photo: Photo | None, kind: str, donor: tuple[P, Photo | None], rng: np.random.Generator
) -> tuple[P, Photo | None] | None:
    """The listing and its photo (height × width × 3, RGB) with one fault; the input is not changed.

    Args:
        listing: A `Listing` or a frozen dataclass with the fields of `Parts`. An encoded photo in `Listing.image` is left as it
            is: the decoded one counts.
        photo: Its decoded photo.
        kind: One of `KINDS` or `TITLE_KINDS`.
        donor: Another product, from which a photo, a description or categories are taken.
        rng: Draws how strong the fault is.

    Returns:
        None where the listing cannot carry the fault: the part is missing, too small, or the same in the donor.

    Raises:
        CatalogueError: no such kind.
    """
    here: Any = listing
    there: Any = donor[0]
    match kind:
        case "poor_title" | "stuffed_title":
            title = (shorten if kind == "poor_title" else stuff)(here.title or "", rng)
            return None if title is None else (replace(here, title=title), photo)
        case "swapped_title":
            own, other = _folded(here.title), _folded(there.title)
            return None if not own or not other or own == other else (replace(here, title=there.title), photo)
        case "mismatched_image":
            return None if donor[1] is None else _if_seen(listing, photo, donor[1])
        case "truncated_description":
            text = truncate(here.description or "", rng)
            return None if text is None else (replace(here, description=text), photo)
        case "swapped_description":
            own, other = _folded(here.description), _folded(there.description)
            return None if not own or not other or own == other else (replace(here, description=there.description), photo)
        case "wrong_category":
            own, other = _article_type(here), _article_type(there)
            return None if not own or not other or own == other else (replace(here, categories=there.categories), photo)
        case "wrong_price":
            price = rescale_price(here.price, rng)
            return None if price is None else (replace(here, price=price), photo)
        case "blurred_image":
            return None if photo is None else _if_seen(listing, photo, blur(photo, rng))
        case "dark_image":
            return None if photo is None else _if_seen(listing, photo, darken(photo, rng))
        case "missing_attributes":
            fewer = _fewer(here, rng)
            return None if fewer is None else (fewer, photo)
        case _:
            raise CatalogueError(f"fault {kind!r} is not known; allowed: {', '.join((*KINDS, *TITLE_KINDS))}")


def shorten(title: str, rng: np.random.Generator) -> str | None:
    """At most a third of the words, in order: what is left does not say what the product is. None for a title of few words."""
    words = title.split()
    if len(words) < MIN_WORDS:
        return None
    kept = sorted(rng.permutation(len(words))[: max(1, math.floor(len(words) * rng.uniform(0.0, KEPT_WORDS)))].tolist())
    return " ".join(words[i] for i in kept)


def stuff(title: str, rng: np.random.Generator) -> str | None:
    """The title with words repeated, hype added and, half of the time, in capitals: made to be found, not to be read."""
    words = title.split()
    if not words:
        return None
    repeated = [words[i] for i in rng.integers(0, len(words), size=int(rng.integers(3, 7)))]
    hype = [HYPE[i] for i in rng.permutation(len(HYPE))[: int(rng.integers(0, 3))]]
    text = " ".join([*words, *repeated, *hype])
    return text.upper() if rng.random() < 0.5 else text


def truncate(text: str, rng: np.random.Generator) -> str | None:
    """The first 10 to 50 % of the characters, whether or not a word ends there; None for a text too short to lose any."""
    text = text.strip()
    return None if len(text) < MIN_TEXT else text[: math.ceil(len(text) * rng.uniform(*KEPT_TEXT))].rstrip()


def rescale_price(price: float | None, rng: np.random.Generator) -> float | None:
    """Ten times or a tenth of the price: a slipped decimal point."""
    if price is None or not (0 < price < math.inf):
        return None
    return price * PRICE_FACTOR if rng.random() < 0.5 else price / PRICE_FACTOR


def drop_pairs(pairs: tuple[tuple[str, str], ...], rng: np.random.Generator) -> tuple[tuple[str, str], ...] | None:
    """60 to 100 % of the pairs removed, the rest in order; None where there are fewer than three."""
    if len(pairs) < MIN_PAIRS:
        return None
    removed = math.ceil(len(pairs) * rng.uniform(*REMOVED_PAIRS))
    kept = sorted(rng.permutation(len(pairs))[removed:])
    return tuple(pairs[i] for i in kept)


def blur(photo: Photo, rng: np.random.Generator) -> Photo:
    """The photo out of focus; the radius grows with the photo's size."""
    radius = rng.uniform(*BLUR_RADIUS) * min(photo.shape[:2])
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)


def darken(photo: Photo, rng: np.random.Generator) -> Photo:
    """The photo underexposed: 10 to 40 % of its brightness."""
    table = (np.arange(256) * rng.uniform(*BRIGHTNESS)).astype(np.uint8)
    return np.asarray(table[photo])


def _if_seen(listing: P, before: Photo | None, after: Photo) -> tuple[P, Photo | None] | None:
    """None where the photo stays as it was: there is none, it is of a single colour, or black already."""
    return None if before is None or np.array_equal(before, after) else (listing, after)


def _fewer(listing: Any, rng: np.random.Generator) -> Any | None:
    """The listing without most of its fields and attributes; None where it has too few."""
    if not isinstance(listing, Listing):
        pairs = drop_pairs(listing.pairs, rng)
        return None if pairs is None else replace(listing, pairs=pairs)
    places = [(part, name) for part in ("fields", "attributes") for name in getattr(listing, part)]
    kept = drop_pairs(tuple(places), rng)
    if kept is None:
        return None
    fields = {name: value for name, value in listing.fields.items() if ("fields", name) in kept}
    attributes = {name: value for name, value in listing.attributes.items() if ("attributes", name) in kept}
    return replace(listing, fields=fields, attributes=attributes)


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())


def _article_type(listing: Any) -> str:
    found: Mapping[str, str] | tuple[str | None, ...] = listing.categories
    return (found.get("article_type") if isinstance(found, Mapping) else found[-1]) or ""
