"""One assessment as the flat row that monitoring logs, and compares with the same rows of the training reference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from catalog.images import light
from catalog.text import normalise
from models.quality.answers import AXES, Assessment, Candidate

if TYPE_CHECKING:
    from models.quality.predictor import QualityPredictor

INPUTS = (
    "title_length",
    "description_length",
    "attribute_count",
    "has_image",
    "image_brightness",
    "image_contrast",
)
"""Columns that describe what came in; the others are of the answer."""

OF_AXES = tuple(f"axis_{axis}" for axis in AXES)
"""A column for the score of each axis; missing where it does not apply."""

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": [
        "title_length",
        "description_length",
        "attribute_count",
        "image_brightness",
        "image_contrast",
        "score",
        *OF_AXES,
    ],
    "categorical": ["has_image", "article_type", "worst_axis"],
    "text": [],
    "embedding": None,
    "prediction": ["predicted_verdict"],
    "confidence": None,
    "match": ["told"],
    "example": "product_id",
}
"""What each column of the reference is (`reference.json`); whether a listing was published comes back as feedback `verdict`."""

REFERENCE_LISTINGS = 1000
"""Validation listings of the reference, at most."""

_BATCH = 256


def summarise(candidate: Candidate, answer: Assessment) -> dict[str, Any]:
    """The row for one answer; missing values are None.

    Lengths are characters of the normalised text. Brightness and contrast are those of `catalog.images.light`; the photo must be
    decodable, as it is where there is an answer.
    """
    listing = candidate.listing
    brightness, contrast = light(listing.image)
    scores = {f"axis_{axis}": answer.axes[axis].score if axis in answer.axes else None for axis in AXES}
    return {
        "title_length": len(normalise(listing.title or "")),
        "description_length": len(normalise(listing.description or "")),
        "attribute_count": len(listing.attributes),
        "has_image": listing.image is not None,
        "image_brightness": brightness,
        "image_contrast": contrast,
        "told": told(answer),
        "score": answer.score,
        **scores,
        "worst_axis": answer.worst or "none",
        "article_type": answer.article_type,
        "predicted_verdict": answer.verdict,
    }


def told(answer: Assessment) -> str:
    """What the listing said, roughly: a photo alone is scored unlike a whole listing."""
    parts = [part for part in ("title", "description", "image") if part in answer.modalities]
    return " and ".join(parts) or "facts alone"


def reference(predictor: "QualityPredictor", good: Sequence[Candidate]) -> list[dict[str, Any]]:
    """What assessments of validation listings look like: they were published, as everything in a catalogue is."""
    rows = []
    for start in range(0, min(len(good), REFERENCE_LISTINGS), _BATCH):
        part = good[start : min(start + _BATCH, REFERENCE_LISTINGS)]
        for candidate, answer in zip(part, predictor.assess(part, improve=False), strict=True):
            rows.append(summarise(candidate, answer) | {"product_id": str(candidate.product_id), "true_verdict": "publish"})
    return rows
