"""One drawing as the flat row that monitoring logs, and compares with the same rows of the training reference."""

import hashlib
from dataclasses import replace
from typing import Any

import pandas as pd

from catalog.splits import by_hash
from catalog.text import normalise
from configs.schema import SplitConfig
from models.imagegen.answers import STYLES, Drawing, Picture, Prompt
from models.imagegen.config import GenerationConfig
from models.imagegen.drawn import Measurable, draw, drawable, seed_of

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

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": [
        "prompt_length",
        "word_count",
        "unknown_words",
        "agreement",
        "sharpness",
        "exposure",
        "white_background",
        "nearest_distance",
    ],
    "categorical": ["shown_type"],
    "text": [],
    "embedding": None,
    "prediction": [],
    "confidence": None,
    "identity": ["prompt_digest"],
    "match": ["style"],
    "example": "product_id",
}
"""What each column of the reference is (`reference.json`).

Which style clients ask for is no drift, and images look as their style asks: like is compared with like. Several images for one
prompt count once.
"""

REFERENCE_PROMPTS = 40
"""Validation titles of the reference, at most, each drawn in every style."""


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


def reference(subject: Measurable, validation: pd.DataFrame, generation: GenerationConfig) -> list[dict[str, Any]]:
    """What drawings for titles of validation products look like: one image each in each style."""
    ordered = validation.iloc[by_hash(validation["product_id"], SplitConfig()).argsort(kind="stable")]
    plain = Prompt(text="", steps=generation.steps, guidance=generation.guidance, sampler=generation.sampler)
    chosen = list(drawable(subject, ordered, plain).items())[:REFERENCE_PROMPTS]
    asked = [(product_id, replace(prompt, style=style)) for product_id, prompt in chosen for style in STYLES]
    if not asked:
        return []
    prompts, seeds = [prompt for _, prompt in asked], [seed_of(product_id) for product_id, _ in asked]
    drawn, rows = draw(subject, prompts, seeds, candidates=1), list[dict[str, Any]]()
    for (product_id, prompt), seed, pixels, score in zip(asked, seeds, drawn.first, drawn.first_scores, strict=True):
        drawing = Drawing(prompt, (Picture(pixels, seed, score),), subject.painter.unknown_words(prompt.text))
        rows.append(summarise(prompt, drawing) | {"product_id": str(product_id)})
    return rows
