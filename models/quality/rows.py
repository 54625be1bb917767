"""Rows of a catalogue as listings."""

import logging
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import ImageError
from catalog.images import decode
from models.quality.answers import Candidate
from models.quality.memory.known import Known

log = logging.getLogger(__name__)

_CHECKED = (16, 16)
"""Height and width to which a photo is decoded to learn whether it can be: JPEG is fast at that."""


def products_of(catalogue: Catalogue, products: pd.DataFrame) -> list[Known]:
    """Products with their encoded photos; one that cannot be decoded is left out, and logged."""
    return [Known(row["product_id"], listing_of(row, photo_of(catalogue, row["product_id"]))) for row in records_of(products)]


def candidates_of(catalogue: Catalogue, products: pd.DataFrame) -> list[Candidate]:
    """The same as listings to assess, each with its own id."""
    return [Candidate(known.listing, known.product_id) for known in products_of(catalogue, products)]


def photo_of(catalogue: Catalogue, product_id: Any) -> bytes | None:
    """A product's photo; None where there is none, or it cannot be decoded."""
    data = catalogue.images.get(product_id)
    if data is None:
        return None
    try:
        decode(data, _CHECKED)
    except ImageError as error:
        log.warning("product %s is read without its photo: %s", product_id, error)
        return None
    return data
