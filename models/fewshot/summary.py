"""One answer as the flat row that monitoring logs, and compares with the same rows of the training reference.

What is watched describes the listings that come in, whichever classes a client has taught. How often an answer is right depends
on how many classes there are and by how many examples they were taught: the reference is matched on that (`task_size`).
"""

from typing import Any

from catalog.images import light
from catalog.listing import Listing
from catalog.text import normalise
from models.fewshot.answers import Classified, Question, Task

NONE_OF_THESE = "none of these"
"""What a rejected listing is called among predictions: where a label comes back for it, it was wrong."""

INPUTS = (
    "title_length",
    "description_length",
    "attribute_count",
    "has_image",
    "image_brightness",
    "image_contrast",
    "task_size",
)
"""Columns that describe what came in; the others are of the answer."""

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": [
        "title_length",
        "description_length",
        "attribute_count",
        "image_brightness",
        "image_contrast",
        "familiarity",
    ],
    "categorical": ["has_image"],
    "text": [],
    "embedding": None,
    "prediction": ["predicted_label"],
    "confidence": None,
    "match": ["task_size"],
    "example": "product_id",
}
"""What each column of the reference is (`reference.json`); the label that comes back as feedback is `label`."""

FEW_CLASSES = 5
FEW_EXAMPLES, SOME_EXAMPLES = 2, 9


def summarise(question: Question, answer: Classified) -> dict[str, Any]:
    """The row for one answer; missing values are None.

    Lengths are characters of the normalised text. Brightness and contrast are those of `catalog.images.light`; the photo must be
    decodable, as it is where there is an answer that read it.
    """
    return of_listing(question.listing) | of_answer(question.task, answer)


def of_listing(listing: Listing) -> dict[str, Any]:
    """The columns of what is asked about; see `summarise`."""
    brightness, contrast = light(listing.image)
    return {
        "title_length": len(normalise(listing.title or "")),
        "description_length": len(normalise(listing.description or "")),
        "attribute_count": len(listing.attributes),
        "has_image": listing.image is not None,
        "image_brightness": brightness,
        "image_contrast": contrast,
    }


def of_answer(task: Task, answer: Classified) -> dict[str, Any]:
    """The columns of the answer, and how large the task is."""
    return {
        "task_size": size(len(task.classes), len(task.codes) / len(task.classes)),
        "familiarity": answer.familiarity,
        "similarity": answer.similarity,
        "stranger": answer.stranger,
        "confidence": max(answer.probabilities.values()),
        "predicted_label": answer.label or NONE_OF_THESE,
    }


def size(classes: int, examples: float) -> str:
    """How many classes a task has, and how many examples each on average, roughly."""
    few = f"up to {FEW_CLASSES} classes" if classes <= FEW_CLASSES else f"more than {FEW_CLASSES} classes"
    if examples > SOME_EXAMPLES:
        return f"{few}, more than {SOME_EXAMPLES} examples each"
    return f"{few}, up to {FEW_EXAMPLES if examples <= FEW_EXAMPLES else SOME_EXAMPLES} examples each"
