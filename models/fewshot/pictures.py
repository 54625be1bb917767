"""Small photos and titles of the products that a page shows."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import ImageError
from catalog.images import decode
from models.evaluation.page import ImageItem, ImageRow, Tone

SIDE = 160
"""Pixels of a photo's longer side: pages show some hundred of them."""

QUALITY = 80
IN_A_ROW = 12
"""Photos of a row, at most."""

LONGEST = 60
"""Characters of a title that are shown."""


class Pictures:
    """Photos and titles by product id as text; each photo is read once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._images = catalogue.images
        self._photos: dict[str, bytes | None] = {}
        titles = catalogue.products().drop_duplicates("product_id").set_index("product_id")["title"]
        self._titles = {str(key): title for key, title in titles.items() if isinstance(title, str) and title.strip()}

    def item(self, product_id: str, lines: Sequence[tuple[str, Tone | None]] = ()) -> ImageItem:
        """A product with what is said of it."""
        return ImageItem(self._photo(product_id), self._title(product_id), [*lines, (f"product {product_id}", None)])

    def row(self, name: str, product_ids: Iterable[Any], note: str = "", tone: Tone | None = None) -> ImageRow:
        """The first of some products in a row."""
        return ImageRow(name, [self.item(str(key)) for key in list(product_ids)[:IN_A_ROW]], note, tone)

    def _title(self, product_id: str) -> str:
        title = self._titles.get(product_id, "(no title)")
        return title if len(title) <= LONGEST else f"{title[: LONGEST - 1].rstrip()}…"

    def _photo(self, product_id: str) -> bytes | None:
        if product_id not in self._photos:
            self._photos[product_id] = _small(self._images.get(product_id))
        return self._photos[product_id]


def _small(photo: bytes | None) -> bytes | None:
    """A JPEG of at most `SIDE` pixels; None where there is no photo, or it cannot be decoded."""
    if photo is None:
        return None
    try:
        pixels = decode(photo, max_side=SIDE)
    except ImageError:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
