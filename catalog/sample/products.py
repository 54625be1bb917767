"""Products of the sample shop: facts drawn from the assortment, put into words, priced and photographed."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from catalog.sample.assortment import (
    BRANDS,
    COLOUR_NAMES,
    COLOUR_WEIGHTS,
    NEW_BRANDS,
    NEW_TYPES,
    PATTERN_WEIGHTS,
    PATTERNS,
    SEASONS,
    TYPES,
    ArticleType,
    Brand,
)
from catalog.sample.pen import Pen, jpeg
from catalog.sample.shapes import SHAPES
from catalog.sample.words import description, pick, title
from catalog.schema import PRODUCT_COLUMNS

_START = pd.Timestamp("2023-01-01", tz="UTC")  # both deliveries and their purchases lie in the past
_DAYS = 730
_NEW_DAYS = 90
_NEW_PRICE = 1.6
_MISLABELLED = 0.01


@dataclass(frozen=True)
class Assortment:
    """What a delivery draws from."""

    types: tuple[ArticleType, ...]
    brands: tuple[Brand, ...]
    first_day: int
    days: int
    price_factor: float
    new: bool


FIRST = Assortment(TYPES, BRANDS, 0, _DAYS, 1.0, new=False)
DRIFTED = Assortment((*TYPES, *NEW_TYPES), (*BRANDS[:6], *NEW_BRANDS, *NEW_BRANDS), _DAYS, _NEW_DAYS, _NEW_PRICE, new=True)


def draw(assortment: Assortment, ids: range, rng: np.random.Generator) -> tuple[pd.DataFrame, list[bytes]]:
    """Products with `PRODUCT_COLUMNS` and a photo each, in order of listing."""
    seconds = np.sort(rng.integers(0, assortment.days * 86_400, len(ids))) + assortment.first_day * 86_400
    weights = np.array([t.weight for t in assortment.types])
    kinds = rng.choice(len(assortment.types), len(ids), p=weights / weights.sum())
    rows, photos = [], []
    for product_id, kind, second in zip(ids, kinds, seconds, strict=True):
        row, photo = _product(assortment, assortment.types[kind], rng)
        listed = _START + pd.Timedelta(seconds=int(second))
        rows.append({"product_id": product_id, **row, "year": listed.year, "listed_at": listed})
        photos.append(photo)
    frame = pd.DataFrame(rows, columns=list(PRODUCT_COLUMNS))
    frame["listed_at"] = frame["listed_at"].dt.as_unit("ns")
    return frame, photos


def _product(assortment: Assortment, kind: ArticleType, rng: np.random.Generator) -> tuple[dict[str, Any], bytes]:
    brand = _brand(assortment, kind.master, rng)
    gender = pick(rng, kind.genders)
    colour = COLOUR_NAMES[int(rng.choice(len(COLOUR_NAMES), p=_share(COLOUR_WEIGHTS)))]
    if kind.name == "Jeans" and rng.random() < 0.6:
        colour = pick(rng, ("Blue", "Navy Blue"))
    pattern = PATTERNS[int(rng.choice(len(PATTERNS), p=PATTERN_WEIGHTS))] if kind.patterned else "Solid"
    material = pick(rng, tuple(kind.materials))
    usage = pick(rng, kind.usages)
    attributes = {"Material" if kind.master != "Apparel" else "Fabric": material, "Pattern": pattern, "Occasion": usage}
    attributes |= {name: pick(rng, values) for name, values in kind.attributes.items()}
    attributes = {name: "NA" if rng.random() < 0.08 else value for name, value in attributes.items() if rng.random() > 0.12}
    facts = {
        "brand": brand.name,
        "gender": gender,
        "colour": colour,
        "pattern": pattern,
        "material": material,
        "name": pick(rng, kind.names),
    }
    price = _ending_in_nine(
        kind.price
        * brand.factor
        * kind.materials[material]
        * (0.7 if gender in ("Boys", "Girls") else 1.0)
        * assortment.price_factor
        * rng.lognormal(0, 0.13)
    )
    discount = rng.choice([0.1, 0.2, 0.3, 0.5]) if rng.random() < 0.4 else 0.0
    seasons = (0, 0, 1, 3) if assortment.new else kind.seasons
    pen = Pen(colour, pattern, rng, dark=assortment.new)
    SHAPES[kind.name](pen, rng)
    label = _sibling(assortment, kind, rng) if rng.random() < _MISLABELLED else kind
    return {
        "title": title(facts, rng, assortment.new),
        "description": None if rng.random() < 0.02 else description(facts, attributes, usage, rng, assortment.new),
        "brand": brand.name,
        "gender": gender,
        "age_group": f"Kids-{gender}" if gender in ("Boys", "Girls") else f"Adults-{gender}",
        "master_category": label.master,
        "sub_category": label.sub,
        "article_type": label.name,
        "base_colour": colour,
        "season": SEASONS[int(rng.choice(4, p=_share(seasons)))],
        "usage": usage,
        "price": price,
        "discounted_price": float(np.floor(price * (1 - discount))),
        "attributes": json.dumps(attributes, ensure_ascii=False),
    }, jpeg(pen.photo())


def _brand(assortment: Assortment, master: str, rng: np.random.Generator) -> Brand:
    """A brand that sells this; the first ones of the list sell most."""
    selling = [brand for brand in assortment.brands if master in brand.masters]
    return selling[int(rng.choice(len(selling), p=_share(tuple(1 / (rank + 2) for rank in range(len(selling))))))]


def _sibling(assortment: Assortment, kind: ArticleType, rng: np.random.Generator) -> ArticleType:
    """The type a careless clerk files it under."""
    siblings = [other for other in assortment.types if other.master == kind.master and other.name != kind.name]
    return siblings[int(rng.integers(len(siblings)))] if siblings else kind


def _share(weights: tuple[float, ...]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]


def _ending_in_nine(price: float) -> float:
    step = 10 if price < 500 else 50 if price < 3000 else 100
    return float(max(step, round(price / step) * step) - 1)
