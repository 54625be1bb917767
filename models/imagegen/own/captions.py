"""What photos are learned under: the product's title, and short phrases of its fields, as people ask for pictures.

A phrase is such as "blue sports shoes for men", "Nike sports shoes" or "sports shoes".
"""

import numpy as np

from catalog.listing import Listing
from catalog.text import clean_html

COLOUR, BRAND, GENDER = 0.8, 0.4, 0.5
"""Shares of phrases that tell these, where they are given."""


def captions(listing: Listing, rng: np.random.Generator | None = None) -> tuple[str, ...]:
    """The title and one phrase, which tells all it can where nothing is drawn; what the listing gives nothing for is left out."""
    found = [clean_html(listing.title)] if listing.title else []
    kind = listing.categories.get("article_type")
    if kind is not None:
        found.append(_phrase(kind, listing, rng))
    return tuple(text for text in found if text)


def _phrase(kind: str, listing: Listing, rng: np.random.Generator | None) -> str:
    told = np.ones(3, dtype=bool) if rng is None else rng.random(3) < (COLOUR, BRAND, GENDER)
    brand, colour, gender = (listing.fields.get(name) for name in ("brand", "base_colour", "gender"))
    words = [kind.lower()]
    if told[0] and colour:
        words.insert(0, colour.lower())
    if told[1] and brand:
        words.insert(0, brand)
    if told[2] and gender:
        words += ["for", gender.lower()]
    return " ".join(words)
