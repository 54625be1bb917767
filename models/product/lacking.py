"""What training rows lack: the tasks, parts and faults of `models.product.tasks`, decided before anything is trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.corruption import MIN_PAIRS, MIN_TEXT
from catalog.images import ImageStore
from catalog.listing import CATEGORY_LEVELS
from configs.errors import VitrinaError
from configs.schema import CorruptionConfig
from models.product.data import ReviewRows, Rows
from models.product.parts import SEGMENTS
from models.product.priors.linear import fold_of
from models.product.priors.priors import told_apart
from models.product.tasks import Lacks, Task, TasksConfig

NAMES = {
    "master_category": ("master category", "master categories"),
    "sub_category": ("sub-category", "sub-categories"),
    "article_type": ("article type", "article types"),
}
PARTS = {"title": "titles", "description": "descriptions", "image": "photos", "attributes": "attributes"}


@dataclass(frozen=True)
class _Counts:
    """How many training rows have what."""

    parts: Mapping[str, int]
    priced: int
    prices: int  # different ones
    titled_photos: int
    long_descriptions: int
    many_pairs: int


def lacks(rows: Rows, images: ImageStore, reviews: ReviewRows, corruption: CorruptionConfig, config: TasksConfig) -> Lacks:
    """What training rows do not allow.

    Raises:
        VitrinaError: there is nothing to read, or nothing to learn.
    """
    counts = _count(rows, images)
    parts = {part: _too_few(counts.parts[part], PARTS[part], config) for part in SEGMENTS}
    tasks: dict[str, str | None] = {
        level: _labels([row.categories[i] for row in rows.listings], level, config) for i, level in enumerate(CATEGORY_LEVELS)
    }
    tasks["price"] = "only one price" if counts.prices == 1 else _too_few(counts.priced, "prices", config)
    tasks["sentiment"] = _opinions(reviews, config)
    tasks["retrieval"] = (
        parts["title"] or parts["image"] or _too_few(counts.titled_photos, "products with a title and a photo", config)
    )
    tasks["text"] = parts["title"] and parts["description"] and "no texts"
    faults = _faults(counts, parts, tasks, config)
    taught = [faults[kind] for kind in corruption.trained]
    tasks["quality"] = "; ".join(dict.fromkeys(filter(None, taught))) if all(taught) else None
    found = Lacks.model_validate({"tasks": _there(tasks), "parts": _there(parts), "faults": _there(faults)})
    _require_something(found)
    return found


def _require_something(found: Lacks) -> None:
    if len(found.parts) == len(SEGMENTS):
        raise VitrinaError(
            f"training rows have nothing to read: {_listed(found.parts.values())}; a listing needs at least one of these"
        )
    learnt: tuple[Task, ...] = ("price", "retrieval", "master_category", "sub_category", "article_type")
    if all(task in found.tasks for task in learnt):
        raise VitrinaError(
            f"training rows have nothing to learn from: {_listed(found.tasks[task] for task in learnt)}; "
            "label one category level, or add prices, or titles and photos together"
        )


def _count(rows: Rows, images: ImageStore) -> _Counts:
    photos = [images.get(key) is not None for key in rows.photos]
    listings = rows.listings
    return _Counts(
        parts={
            "title": sum(bool(row.title) for row in listings),
            "description": sum(bool(row.description) for row in listings),
            "image": sum(photos),
            "attributes": sum(bool(row.pairs) for row in listings),
        },
        priced=sum(row.price is not None for row in listings),
        prices=len({row.price for row in listings if row.price is not None}),
        titled_photos=sum(bool(row.title) and photo for row, photo in zip(listings, photos, strict=True)),
        long_descriptions=sum(len(row.description) >= MIN_TEXT for row in listings),
        many_pairs=sum(len(row.pairs) >= MIN_PAIRS for row in listings),
    )


def _faults(
    counts: _Counts, parts: Mapping[str, str | None], tasks: Mapping[str, str | None], config: TasksConfig
) -> dict[str, str | None]:
    """Why training rows cannot carry each kind of fault (`catalog.corruption.corrupt`), None where they can."""
    long = parts["description"] or _too_few(counts.long_descriptions, f"descriptions of {MIN_TEXT} characters", config)
    many = parts["attributes"] or _too_few(counts.many_pairs, f"products with {MIN_PAIRS} attributes", config)
    return {
        "mismatched_image": parts["image"],
        "truncated_description": long,
        "swapped_description": parts["description"],
        "wrong_category": tasks["article_type"],
        "wrong_price": tasks["price"],
        "blurred_image": parts["image"],
        "dark_image": parts["image"],
        "missing_attributes": many,
    }


def _too_few(count: int, what: str, config: TasksConfig) -> str | None:
    if count >= config.min_rows:
        return None
    return f"only {count} {what} ({config.min_rows} are needed)" if count else f"no {what}"


def _labels(values: Sequence[str | None], level: str, config: TasksConfig) -> str | None:
    one, several = NAMES[level]
    known = [value for value in values if value]
    classes = len(set(known))
    if known and classes < config.min_classes:
        return f"only one {one}" if classes == 1 else f"only {classes} {several} ({config.min_classes} are needed)"
    return _too_few(len(known), f"products with {several}" if known else several, config)


def _opinions(reviews: ReviewRows, config: TasksConfig) -> str | None:
    """A sentiment is learnt where both opinions occur outside every fold of the prior that it begins at."""
    known = [i for i, row in enumerate(reviews.reviews) if row.recommended is not None]
    if not known:
        return "no reviews that say whether they recommend" if len(reviews) else "no reviews"
    said = np.array([reviews.reviews[i].recommended for i in known], dtype=np.float64)
    if not told_apart(said, fold_of(reviews.keys[i] for i in known)):
        return "too few reviews that recommend, or that do not"
    return _too_few(len(known), "reviews that say whether they recommend", config)


def _there(reasons: Mapping[str, str | None]) -> dict[str, str]:
    return {name: reason for name, reason in reasons.items() if reason}


def _listed(reasons: Iterable[str]) -> str:
    return ", ".join(reasons)
