"""What answers about products of the catalogue look like, which monitoring compares with what is asked later."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from models.fewshot.answers import Task
from models.fewshot.episodes import Codes, Pool
from models.fewshot.pools import photo_of, pool_of
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.summary import of_answer, of_listing

REFERENCE_PRODUCTS = 1000
"""Products of the reference, at most; each is asked about in tasks of several sizes."""

TAUGHT = 30
"""Products of a type that examples are drawn from."""

TASKS = ((5, 1), (5, 5), (5, 15), (12, 1), (12, 5), (12, 15))
"""Ways and shots of the tasks of the reference, one for each size that is told apart."""


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
            rows.append(of_listing(listings[product_id]) | of_answer(task, answer) | true)
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
