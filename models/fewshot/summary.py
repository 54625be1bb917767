"""One answer as the flat row that monitoring logs, and compares with the same rows of the training reference.

What is watched describes the listings that come in, whichever classes a client has taught. How often an answer is right depends
on how many classes there are and by how many examples they were taught: the reference is matched on that (`task_size`).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.images import light
from catalog.listing import Listing
from catalog.text import normalise
from models.fewshot.answers import Classified, Question, Task
from models.fewshot.episodes import Codes, Pool
from models.fewshot.pools import photo_of, pool_of
from models.fewshot.predictor import FewshotPredictor

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

REFERENCE_PRODUCTS = 1000
"""Products of the reference, at most; each is asked about in tasks of several sizes."""

TAUGHT = 30
"""Products of a type that examples are drawn from."""

TASKS = ((5, 1), (5, 5), (5, 15), (12, 1), (12, 5), (12, 15))
"""Ways and shots of the tasks of the reference, one for each size that is told apart."""

FEW_CLASSES = 5
FEW_EXAMPLES, SOME_EXAMPLES = 2, 9


def summarise(question: Question, answer: Classified) -> dict[str, Any]:
    """The row for one answer; missing values are None.

    Lengths are characters of the normalised text. Brightness and contrast are those of `catalog.images.light`; the photo must be
    decodable, as it is where there is an answer that read it.
    """
    return _of_listing(question.listing) | _of_answer(question.task, answer)


def _of_listing(listing: Listing) -> dict[str, Any]:
    brightness, contrast = light(listing.image)
    return {
        "title_length": len(normalise(listing.title or "")),
        "description_length": len(normalise(listing.description or "")),
        "attribute_count": len(listing.attributes),
        "has_image": listing.image is not None,
        "image_brightness": brightness,
        "image_contrast": contrast,
    }


def _of_answer(task: Task, answer: Classified) -> dict[str, Any]:
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


def reference(predictor: FewshotPredictor, catalogue: Catalogue, products: pd.DataFrame) -> list[dict[str, Any]]:
    """What answers about products of meta-validation types look like, and what was true.

    Each of these types is a class of one task of each of `TASKS`, beside others drawn from `products`, which are those of the
    meta-train and meta-validation types.

    Raises:
        VitrinaError: none of the products says anything that the base reads.
    """
    settings = predictor.settings
    validation = [name for name, part in settings.types.items() if part == "validation"]
    drawn = _drawn(products, validation, settings.config.trainer.seed)
    pool = pool_of(catalogue, drawn, predictor.embedder, settings.config.model)
    listings = {row["product_id"]: listing_of(row, photo_of(catalogue, row["product_id"])) for row in records_of(drawn)}
    rng = np.random.default_rng(settings.config.trainer.seed)
    rows = []
    for asked, (ways, shots) in product(np.flatnonzero(np.isin(pool.types, validation)), TASKS):
        task, others = _taught(predictor, pool, int(asked), ways, shots, rng)
        answers = predictor.answers(task, pool.features[others], pool.features[others])
        for product_id, answer in zip(pool.product_ids[others].tolist(), answers, strict=True):
            true = {"product_id": str(product_id), "true_label": pool.types[asked]}
            rows.append(_of_listing(listings[product_id]) | _of_answer(task, answer) | true)
    return rows


def _drawn(products: pd.DataFrame, validation: Sequence[str], seed: int) -> pd.DataFrame:
    """Products of every type to teach, and of the `validation` types as many as are asked about as well."""
    shuffled = products.sample(frac=1.0, random_state=seed)
    place = shuffled.groupby("article_type").cumcount()
    most = TAUGHT + REFERENCE_PRODUCTS // max(1, len(validation))
    return shuffled[place < np.where(shuffled["article_type"].isin(validation), most, TAUGHT)].sort_index()


def _taught(
    predictor: FewshotPredictor, pool: Pool, asked: int, ways: int, shots: int, rng: np.random.Generator
) -> tuple[Task, Codes]:
    """A task with the type `asked` among its classes, and the rows of that type that are no examples.

    Where types have fewer products, they are taught by half of them, and where there are fewer types, by all of those.
    """
    others = rng.permutation(np.setdiff1d(np.arange(len(pool.types)), asked))[: ways - 1]
    shuffled = [rng.permutation(pool.rows[code]) for code in (asked, *others)]
    taught = [rows[: min(shots, max(1, len(rows) // 2))] for rows in shuffled]
    codes = np.repeat(np.arange(len(taught)), [len(rows) for rows in taught])
    labels = [pool.types[code] for code in (asked, *others)]
    name = predictor.settings.learner_for(len(codes) / len(labels))
    return predictor.taught(name, labels, codes, pool.features[np.concatenate(taught)]), shuffled[0][len(taught[0]) :]
