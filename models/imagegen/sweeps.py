"""The same few prompts drawn in several settings, for a person to look at."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from models.imagegen.answers import SAMPLERS, STYLES, Prompt
from models.imagegen.config import GenerationConfig
from models.imagegen.drawn import Measurable, png, seed_of

PRODUCT = "product"
"""The kind of rows that are products which were measured; the others are of `SWEPT`."""

GUIDANCES = (1.0, 2.0, 3.0, 5.0, 8.0)
STEPS = (10, 20, 50, 100)

SWEPT = {
    "guidance": "How much does it follow the prompt?",
    "steps": "How many steps does it need?",
    "sampler": "Which sampler?",
    "style": "What do styles change?",
}
"""What is varied, and the question that the page answers by it."""


def settings(generation: GenerationConfig) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is varied, how the value reads, and the prompt's fields."""
    for guidance in GUIDANCES:
        yield "guidance", f"{guidance:g}", {"guidance": guidance}
    for steps in STEPS:
        yield "steps", str(steps), {"steps": steps}
    for sampler in SAMPLERS:
        yield "sampler", f"{sampler}, {generation.steps} steps", {"sampler": sampler}
    for style in STYLES:
        yield "style", style, {"style": style}


def sweeps(subject: Measurable, products: pd.DataFrame, generation: GenerationConfig) -> pd.DataFrame:
    """A row for each product in each setting, with the image that is drawn from the product's seed, PNG."""
    seeds, size = [seed_of(product_id) for product_id in products["product_id"]], subject.painter.sizes[0]
    plain = [
        Prompt(text=str(title), size=size, steps=generation.steps, guidance=generation.guidance, sampler=generation.sampler)
        for title in products["title"]
    ]
    rows = list[dict[str, Any]]()
    for kind, value, fields in settings(generation) if plain else ():
        images = subject.painter.paint([subject.resolved(replace(prompt, **fields)) for prompt in plain], seeds)
        for product_id, prompt, pixels in zip(products["product_id"], plain, images, strict=True):
            row = {"kind": kind, "setting": value, "product_id": str(product_id), "title": prompt.text}
            rows.append(row | {"image": png(pixels)})
    return pd.DataFrame(rows, columns=["kind", "setting", "product_id", "title", "image"])
