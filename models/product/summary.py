"""One prediction as the flat row that monitoring logs, and compares with the same rows of the training reference."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.images import light
from catalog.listing import CATEGORY_LEVELS, Listing
from catalog.text import normalise
from models.product.tasks import Lacks

if TYPE_CHECKING:
    from models.product.predictor import ProductPrediction

EMBEDDING_DIM = 64

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": [
        "title_length",
        "description_length",
        "attribute_count",
        "image_brightness",
        "image_contrast",
        "price",
        "article_type_confidence",
        "predicted_price",
        "quality",
    ],
    "categorical": ["brand", "gender", "base_colour", "season", "usage", "has_image", "predicted_article_type"],
    "text": ["title"],
    "embedding": "embedding",
    "prediction": ["predicted_article_type"],
    "confidence": "article_type_confidence",
    "match": ["categories_told"],
    "example": "product_id",
}
"""What each column of the reference is (`reference.json`).

Price and quality read the categories that a listing tells, and nothing else that is watched says whether it tells any: the
reference is matched on that. They and the categories read more that may be missing, such as a photo or, for quality, the
price; of each of those a column of its own says so.
"""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "title_length": ("title",),
    "title": ("title",),
    "description_length": ("description",),
    "image_brightness": ("image",),
    "image_contrast": ("image",),
    "has_image": ("image",),
    "attribute_count": ("attributes",),
    **dict.fromkeys(("brand", "gender", "base_colour", "season", "usage"), ("attributes",)),
    "price": ("price",),
    "predicted_price": ("price",),
    "article_type_confidence": ("article_type",),
    "predicted_article_type": ("article_type",),
    "quality": ("quality",),
}
"""Part, or task, without which a column says nothing."""


def reference_spec(lacks: Lacks) -> dict[str, Any]:
    """`REFERENCE_SPEC` without the columns of tasks that a version has not, and of parts that it does not read."""
    absent = {*lacks.tasks, *lacks.parts}
    left_out = {column for column, needs in NEEDS.items() if absent & set(needs)}
    lists = ("numerical", "categorical", "text", "prediction")
    kept = {name: [c for c in REFERENCE_SPEC[name] if c not in left_out] for name in lists}
    confidence = REFERENCE_SPEC["confidence"]
    return REFERENCE_SPEC | kept | {"confidence": None if confidence in left_out else confidence}


def ways(listing: Listing, levels: Collection[str] = CATEGORY_LEVELS) -> list[Listing]:
    """How clients may send a listing: as it is and, where it has categories, without them; none without a text or photo.

    `levels` are those that the version reads: a listing that has others alone is read in one way.
    """
    if not (normalise(listing.title or "") or normalise(listing.description or "") or listing.image):
        return []
    return [listing, replace(listing, categories={})] if set(listing.categories) & set(levels) else [listing]


def summarise(listing: Listing, prediction: "ProductPrediction") -> dict[str, Any]:
    """The row for one listing; missing values are None.

    The photo must be decodable, as it is where there is a prediction that read it. Lengths are characters of the normalised text.
    Brightness and contrast are those of `catalog.images.light`. The embedding is projected to 64 dimensions (`project`).
    """
    title, description = normalise(listing.title or ""), normalise(listing.description or "")
    brightness, contrast = light(listing.image)
    types = prediction.categories["article_type"]
    article_type, confidence = types[0] if types else (None, None)
    fields = {name: listing.fields.get(name) or None for name in ("brand", "gender", "base_colour", "season", "usage")}
    return {
        "title": title or None,
        "title_length": len(title),
        "description_length": len(description),
        "attribute_count": len(listing.attributes),
        **fields,
        "categories_told": "categories" in prediction.modalities,
        "has_image": listing.image is not None,
        "image_brightness": brightness,
        "image_contrast": contrast,
        "price": listing.price,
        "predicted_article_type": article_type,
        "article_type_confidence": confidence,
        "predicted_price": prediction.price.median if prediction.price else None,
        "quality": prediction.quality.score if prediction.quality else None,
        "embedding": project(prediction.embedding).tolist(),
    }


def project(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [d] to [64] by a fixed Gaussian matrix, which keeps distances (Johnson & Lindenstrauss 1984)."""
    projected: NDArray[np.float32] = embedding @ _projection(len(embedding))
    return projected


@lru_cache(maxsize=4)
def _projection(dimensions: int) -> NDArray[np.float32]:
    matrix = np.random.default_rng(64).standard_normal((dimensions, EMBEDDING_DIM), dtype=np.float32)
    return matrix / np.float32(np.sqrt(EMBEDDING_DIM))
