"""One answer as the flat row that monitoring logs, and compares with the same rows of the training reference."""

from typing import Any

from catalog.text import normalise
from models.fewshot.answers import Classified, Question


def summarise(question: Question, answer: Classified) -> dict[str, Any]:
    """The row for one answer; missing values are None. The length is in characters of the normalised title."""
    return {
        "title_length": len(normalise(question.listing.title or "")),
        "has_image": question.listing.image is not None,
        "familiarity": answer.familiarity,
        "similarity": answer.similarity,
        "stranger": answer.stranger,
        "predicted_label": answer.label,
    }
