"""One drawing as the flat row that monitoring logs, and compares with the same rows of the training reference."""

import hashlib
from typing import Any

from catalog.text import normalise
from models.imagegen.answers import Drawing, Prompt

INPUTS = (
    "prompt_digest",
    "prompt_length",
    "word_count",
    "unknown_words",
    "style",
    "steps",
    "guidance",
    "sampler",
    "candidates",
    "width",
    "height",
)
"""Columns that describe what came in; the others are of the best image."""


def summarise(prompt: Prompt, drawing: Drawing) -> dict[str, Any]:
    """The row for one answer; missing values are None. `prompt` is as asked.

    The prompt itself is not in it: `prompt_digest` tells different ones apart. Its length is characters of the normalised text;
    unknown words are counted.
    """
    text, resolved, best = normalise(prompt.text), drawing.prompt, drawing.best
    height, width, _ = best.pixels.shape
    shown = best.score.shows
    return {
        "prompt_digest": hashlib.sha256(text.encode()).hexdigest()[:16],
        "prompt_length": len(text),
        "word_count": len(text.split()),
        "unknown_words": len(drawing.unknown_words),
        "style": resolved.style,
        "steps": resolved.steps,
        "guidance": resolved.guidance,
        "sampler": resolved.sampler,
        "candidates": resolved.candidates,
        "width": width,
        "height": height,
        "agreement": best.score.agreement,
        "overall": best.score.overall,
        "sharpness": best.score.sharpness,
        "exposure": best.score.exposure,
        "white_background": best.score.white_background,
        "nearest_distance": best.score.nearest.distance,
        "memorised": best.score.nearest.memorised,
        "shown_type": shown[0] if shown else None,
        "shown_confidence": shown[1] if shown else None,
    }
