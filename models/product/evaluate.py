"""Measures a product bundle: metrics with intervals, slices, and the predictions behind them."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.catalogue import Catalogue, listing_of, records_of, said
from catalog.corruption import KINDS
from catalog.listing import CATEGORY_LEVELS
from catalog.text import clean_html
from catalog.vocabulary import UNKNOWN
from configs.errors import VitrinaError
from configs.schema import CorruptionConfig, EvaluationConfig
from models.evaluation.bootstrap import (
    auc_interval,
    calibration_error_interval,
    macro_f1_interval,
    mean_interval,
    rmsle_interval,
)
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.metrics import graded_ndcg, knn_predict, match_ranks, nearest, recall_at_k
from models.evaluation.results import Measured, Metric, SliceMetric
from models.evaluation.slices import PriceBands, brand_tier, slice_metrics
from models.product.baselines import SimpleModels, compare
from models.product.bundle import BundleConfig
from models.product.data import ListingDataset, ReviewRows, Rows
from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.price import PriceHead
from models.product.heads.quality import QualityHead
from models.product.inputs import Inputs
from models.product.parts import MODALITIES, SEGMENTS
from models.product.predictor import Answers, ProductPredictor
from models.product.tasks import METRICS

INVARIANCE_ROWS = 1000
FAULT_ROWS = 1000
SUBSET_ROWS = 1000
SUBSETS = {
    "no description": tuple(name for name in MODALITIES if name != "description"),
    "no image": tuple(name for name in MODALITIES if name != "image"),
    "title only": ("title",),
    "image only": ("image",),
}
"""What the model may see in the slices that withhold a part of every listing."""

SLICES = {
    "master_category": "master_category",
    "price_band": "price",
    "brand_tier": "attributes",
    "has_image": "image",
    "has_description": "description",
}
"""Columns of the frame to slice by, and the task or part without which there is nothing to tell."""

K = 10
ORDER = 0
"""Seed of the order in which rows are measured: tables are often sorted, and some figures are of the first rows alone."""


@dataclass(frozen=True)
class Pool:
    """Products that have a title and a photo: embeddings [n, E] of each alone, and their row numbers [n]."""

    titles: NDArray[np.float32]
    photos: NDArray[np.float32]
    rows: NDArray[np.int64]


def check_modalities(modalities: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities to show; all by default.

    Raises:
        VitrinaError: an unknown one, or none.
    """
    if modalities is None:
        return MODALITIES
    unknown = [name for name in modalities if name not in MODALITIES]
    if unknown or not modalities:
        raise VitrinaError(f"modality {', '.join(unknown) or '(none)'} is not known; allowed: {', '.join(MODALITIES)}")
    return tuple(modalities)


def _check_read(predictor: ProductPredictor, shown: Collection[str]) -> None:
    """That the version reads any of what it is shown.

    Raises:
        VitrinaError: it reads none of it; says why, and what it reads.
    """
    read = {*predictor.readable, "categories"}
    if not read & set(shown):
        why = ", ".join([*predictor.lacks.parts.values(), *filter(None, [predictor.lacks.tasks.get("price")])])
        allowed = ", ".join(name for name in MODALITIES if name in read)
        raise VitrinaError(f"this version does not read {', '.join(shown)}: its training rows had {why}; allowed: {allowed}")


def _withheld(shown: Collection[str]) -> dict[str, str]:
    """Metrics that cannot be measured of what is shown, with the reason."""
    reasons = [f"{name} are withheld" for part, name in (("title", "titles"), ("image", "photos")) if part not in shown]
    found = dict.fromkeys(METRICS["retrieval"] if reasons else (), "; ".join(reasons))
    if set(shown) != set(MODALITIES):
        found |= dict.fromkeys(METRICS["quality"], "a part of every listing is withheld")
    return found


def measure(
    predictor: ProductPredictor,
    settings: BundleConfig,
    catalogue: Catalogue,
    products: pd.DataFrame,
    reviews: pd.DataFrame,
    config: EvaluationConfig,
    modalities: Sequence[str] | None = None,
    *,
    simple: SimpleModels,
) -> Measured:
    """Every metric on `products` and `reviews`, either of which may be empty; the model sees only `modalities` of products.

    A metric of a task that the version has not (`BundleConfig.lacks`), or that needs what is withheld, is left out, and
    named with the reason.

    The truth of a head is never shown to that head (see `models.product.model`). A type never seen in training is an
    error like any other. `knn_f1` is leave-one-out among the measured rows; retrieval looks for each title's photo among
    the first `retrieval_pool` rows that have both, and nDCG counts every photo of the title's article type as relevant;
    invariance is measured on the first 1,000 rows that have text. First means in an order drawn at random, always the same.
    `simple` models are measured on the same rows, and the version against them row by row.

    Raises:
        VitrinaError: a modality is not known, or the version reads none of them.
    """
    shown = check_modalities(modalities)
    absent = _withheld(shown) | settings.lacks.metrics(settings.config.corruption)
    sentiment = {"sentiment_auc": _sentiment(predictor, reviews, config)}
    if products.empty:
        return Measured(_applicable(sentiment, absent), (), pd.DataFrame(), not_applicable=absent)
    _check_read(predictor, shown)
    products = products.sample(frac=1.0, random_state=ORDER).reset_index(drop=True)
    dataset = ListingDataset(Rows.of(products), catalogue.images, predictor.encoders, predictor.config.model)
    answers, pool, has_image = _answer_all(predictor, dataset, config, shown)
    frame = _frame(products, predictor, settings, answers, has_image)
    base = settings.baselines
    beside = compare(frame, dataset, simple, base.article_type, base.price, shown, config.bootstrap_samples)
    metrics = _head_metrics(frame, config) | dict(beside.metrics)
    labels = frame["true_article_type"]
    metrics["knn_f1"] = _neighbour_metric(answers, labels, config)
    metrics |= _retrieval_metrics(pool, labels, config) | sentiment
    metrics |= fault_metrics(predictor, dataset, settings.config.corruption, shown, config, settings.lacks.faults)
    metrics["invariance_case_whitespace"] = _invariance(predictor, dataset, products, answers, shown, config)
    metrics |= _latency(predictor, dataset, products, config)
    columns = [column for column, needs in SLICES.items() if needs not in {*settings.lacks.tasks, *settings.lacks.parts}]
    sliced = frame.assign(master_category=frame["true_master_category"])
    slices = slice_metrics(sliced, columns, _slice_statistics(config, absent), config.min_slice_rows)
    slices += _subset_slices(predictor, dataset, frame, shown, config, absent)
    return Measured(_applicable(metrics, absent), slices, frame, beside.against, {**beside.not_applicable, **absent})


def _applicable(metrics: dict[str, Metric], absent: Mapping[str, str]) -> dict[str, Metric]:
    """Those of tasks that there are."""
    return {name: metric for name, metric in metrics.items() if name not in absent}


def _neighbour_metric(answers: Answers, labels: "pd.Series[Any]", config: EvaluationConfig) -> Metric:
    """Leave-one-out accuracy of the article types of the nearest embeddings; none where every guess is right, or none can be."""
    known = labels.notna().to_numpy()
    rows_of_type = labels[known].value_counts()
    if len(rows_of_type) < 2 or rows_of_type.max() < 2:
        return Metric(value=None, n=int(known.sum()))
    neighbours = knn_predict(answers.of(EmbeddingHead).vectors[known], labels[known].to_numpy(), config.neighbours)
    return mean_interval((neighbours == labels[known].to_numpy()).astype(float), config.bootstrap_samples)


def _answer_all(
    predictor: ProductPredictor, dataset: ListingDataset, config: EvaluationConfig, shown: Collection[str]
) -> tuple[Answers, Pool, NDArray[np.bool_]]:
    """Answers for all rows, the retrieval pool, and which rows have a photo."""
    titles, photos, has_image = [], [], []
    rows: list[NDArray[np.int64]] = []
    pooled = seen = 0

    def batches() -> Iterator[Inputs]:
        nonlocal pooled, seen
        for inputs in dataset.batches(config.batch_size):
            yield inputs.only(shown)
            has_image.append(inputs.has_image.numpy())
            both = ((inputs.title != 0).any(dim=1) & inputs.has_image).numpy()
            both &= np.cumsum(both) <= config.retrieval_pool - pooled
            if both.any():
                titles.append(_vectors(predictor, inputs.only(["title"]))[both])
                photos.append(_vectors(predictor, inputs.only(["image"]))[both])
                rows.append(np.flatnonzero(both) + seen)
                pooled += int(both.sum())
            seen += len(both)

    answers = predictor.answer_all(batches())
    empty = [np.zeros((0, predictor.config.model.embedding_dim), dtype=np.float32)]
    where = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    return answers, Pool(np.concatenate(titles or empty), np.concatenate(photos or empty), where), np.concatenate(has_image)


def _vectors(predictor: ProductPredictor, inputs: Inputs) -> NDArray[np.float32]:
    """Embeddings [n, E]."""
    return predictor.answer(inputs).of(EmbeddingHead).vectors


def _best(predictor: ProductPredictor, answers: Answers, level: int) -> NDArray[np.object_]:
    labels = np.array(predictor.labels[CATEGORY_LEVELS[level]] or (UNKNOWN,), dtype=object)
    probabilities = answers.of(CategoryHead).probabilities[level]
    if not probabilities.shape[1]:
        return np.full(len(probabilities), None, dtype=object)
    best: NDArray[np.object_] = labels[probabilities.argmax(axis=1)]
    return best


def _frame(
    products: pd.DataFrame,
    predictor: ProductPredictor,
    settings: BundleConfig,
    answers: Answers,
    has_image: NDArray[np.bool_],
) -> pd.DataFrame:
    """A row a product: truth and prediction of each head, and the columns to slice by."""
    frame = pd.DataFrame({"product_id": products["product_id"]})
    for i, level in enumerate(CATEGORY_LEVELS):
        frame[f"true_{level}"] = said(products[level])
        frame[f"predicted_{level}"] = _best(predictor, answers, i)
    confidence = answers.of(CategoryHead).probabilities[-1]
    frame["article_type_confidence"] = confidence.max(axis=1) if confidence.shape[1] else np.nan
    price = products["price"].astype(float)
    frame["true_price"] = price.where((price > 0) & np.isfinite(price))
    prices = answers.of(PriceHead)
    frame["predicted_price"], frame["price_low"], frame["price_high"] = prices.median, prices.low, prices.high
    frame["quality"] = 1.0 - answers.of(QualityHead).faults[:, 0]
    frame["brand"] = products["brand"]
    frame["has_image"] = has_image
    frame["has_description"] = products["description"].fillna("").str.strip() != ""
    frame["price_band"] = PriceBands(settings.price_edges).label(frame["true_price"])
    frame["brand_tier"] = brand_tier(frame["brand"], frozenset(settings.head_brands))
    return frame


def _correct(frame: pd.DataFrame, level: str) -> NDArray[np.float64]:
    """1 or 0 for each row whose value is known."""
    known = frame[frame[f"true_{level}"].notna()]
    return np.asarray(known[f"true_{level}"] == known[f"predicted_{level}"], dtype=float)


def _head_metrics(frame: pd.DataFrame, config: EvaluationConfig) -> dict[str, Metric]:
    samples = config.bootstrap_samples
    metrics = {f"{level}_accuracy": mean_interval(_correct(frame, level), samples) for level in reversed(CATEGORY_LEVELS)}
    known = frame[frame["true_article_type"].notna()]
    metrics["article_type_macro_f1"] = macro_f1_interval(known["true_article_type"], known["predicted_article_type"], samples)
    sure = frame[frame["article_type_confidence"].notna()]  # nowhere where article types are no task
    confidence = sure.loc[sure["true_article_type"].notna(), "article_type_confidence"]
    metrics["expected_calibration_error"] = calibration_error_interval(confidence, _correct(sure, "article_type"), samples)
    priced = frame[frame["true_price"].notna() & frame["predicted_price"].notna()]
    metrics["price_rmsle"] = rmsle_interval(priced["true_price"], priced["predicted_price"], samples)
    inside = (priced["price_low"] <= priced["true_price"]) & (priced["true_price"] <= priced["price_high"])
    metrics["price_interval_coverage"] = mean_interval(inside.to_numpy(dtype=float), samples)
    return metrics


def _retrieval_metrics(pool: Pool, labels: "pd.Series[Any]", config: EvaluationConfig) -> dict[str, Metric]:
    """Does a title find its very photo, and are the photos it finds of its article type?

    Neither can be told where anything that is found is right: of at most K photos, and of photos of one type.
    """
    found = nearest(pool.titles, pool.photos, K)
    codes, types = pd.factorize(labels.iloc[pool.rows], use_na_sentinel=True)
    relevant = np.bincount(codes[codes >= 0], minlength=len(types))
    known = codes >= 0
    gains = (codes[found] == codes[:, None])[known].astype(float)
    ideal = (np.arange(K) < relevant[codes[known], None]).astype(float)
    recall = recall_at_k(match_ranks(pool.titles, pool.photos), K)
    untold, samples = Metric(value=None, n=len(pool.rows)), config.bootstrap_samples
    return {
        f"title_to_image_recall_at_{K}": mean_interval(recall, samples) if len(recall) > K else untold,
        f"retrieval_ndcg_at_{K}": mean_interval(graded_ndcg(gains, ideal), samples) if len(types) > 1 else untold,
    }


def _sentiment(predictor: ProductPredictor, reviews: pd.DataFrame, config: EvaluationConfig) -> Metric:
    """ROC-AUC of the probability that a review recommends; not measured by a model that was trained without reviews."""
    rows = ReviewRows.of(reviews)
    known = [row for row in rows.reviews if row.recommended is not None]
    if predictor.encoders.priors.review is None or not known:
        return Metric(value=None)
    probability = predictor.answer_reviews(known).recommended
    return auc_interval(probability, np.array([row.recommended for row in known]), config.bootstrap_samples)


def fault_metrics(
    predictor: ProductPredictor,
    dataset: ListingDataset,
    corruption: CorruptionConfig,
    shown: Collection[str],
    config: EvaluationConfig,
    untaught: Collection[str] = (),
) -> dict[str, Metric]:
    """ROC-AUC of telling listings with each kind of fault from the same listings without, by the score of "faulty".

    `fault_auc_KIND` over the first 1,000 rows; `fault_auc_unseen` is that of the kinds kept out of training,
    `fault_auc_lowest` that of the worst kind which was not. Kinds that no training row could carry, `untaught`, are left out.
    """
    if set(shown) != set(MODALITIES):
        return {}
    rows = range(min(len(dataset), FAULT_ROWS))
    good = _faulty(predictor, dataset.inputs(rows))
    found = {}
    for number, kind in enumerate(KINDS):
        if kind in untaught:
            continue
        changed = [dataset.faulty(i, kind, np.random.default_rng((number, i))) for i in rows]
        there = [pair for pair in changed if pair is not None]
        if not there:
            continue
        inputs = dataset.encoders.encode([row for row, _ in there], [photo for _, photo in there], dataset.config)
        bad = _faulty(predictor, inputs)
        truth = np.concatenate([np.zeros(len(good), dtype=bool), np.ones(len(bad), dtype=bool)])
        found[kind] = auc_interval(np.concatenate([good, bad]), truth, config.bootstrap_samples)
    metrics = {f"fault_auc_{kind}": metric for kind, metric in found.items()}
    for name, kinds in (("unseen", corruption.held_out), ("lowest", corruption.trained)):
        of_kind = [found[kind] for kind in kinds if kind in found]
        metrics[f"fault_auc_{name}"] = min(of_kind, key=lambda m: m.value or 0.0) if of_kind else Metric(value=None)
    return metrics


def _faulty(predictor: ProductPredictor, inputs: Inputs) -> NDArray[np.float32]:
    """Probability [n] that anything is wrong with a listing."""
    return predictor.answer(inputs).of(QualityHead).faults[:, 0]


def _invariance(
    predictor: ProductPredictor,
    dataset: ListingDataset,
    products: pd.DataFrame,
    answers: Answers,
    shown: Collection[str],
    config: EvaluationConfig,
) -> Metric:
    """Share of rows whose type stays the same when title and description are upper-cased and their spaces multiplied."""
    rows = [i for i, row in enumerate(dataset.rows.listings) if row.title or row.description][:INVARIANCE_ROWS]
    if not rows or not {"title", "description"} & set(shown) or not predictor.labels["article_type"]:
        return Metric(value=None)
    loud = products.iloc[rows].copy()
    for column in ("title", "description"):
        loud[column] = [_loud(text) for text in loud[column]]
    shadow = ListingDataset(Rows.of(loud), dataset.images, dataset.encoders, dataset.config)
    changed = predictor.answer_all(inputs.only(shown) for inputs in shadow.batches(config.batch_size))
    before, after = (found.of(CategoryHead).probabilities[-1] for found in (answers, changed))
    same = after.argmax(axis=1) == before[rows].argmax(axis=1)
    return mean_interval(same.astype(float), config.bootstrap_samples)


def _loud(text: Any) -> str | None:
    return "  " + "\n ".join(clean_html(text).upper().split()) + "\t" if isinstance(text, str) else None


@one_thread()
def _latency(
    predictor: ProductPredictor, dataset: ListingDataset, products: pd.DataFrame, config: EvaluationConfig
) -> dict[str, Metric]:
    """Median and 95th percentile of `predict` on one listing, in milliseconds on one thread, photo decoding included."""
    milliseconds: list[float] = []
    for row in records_of(products.head(4 * config.latency_calls)):
        listing = listing_of(row, dataset.images.get(row["product_id"]))
        started = time.perf_counter()
        try:
            predictor.predict([listing])
        except VitrinaError:  # an empty listing or a broken photo is refused; only answers are timed
            continue
        milliseconds.append(1000 * (time.perf_counter() - started))
        if len(milliseconds) == config.latency_calls:
            break
    return latency_metrics(milliseconds, config.bootstrap_samples)


def _slice_statistics(config: EvaluationConfig, absent: Collection[str]) -> dict[str, Callable[[pd.DataFrame], Metric]]:
    def accuracy(rows: pd.DataFrame) -> Metric:
        return mean_interval(_correct(rows, "article_type"), config.bootstrap_samples)

    def price(rows: pd.DataFrame) -> Metric:
        priced = rows[rows["true_price"].notna() & rows["predicted_price"].notna()]
        return rmsle_interval(priced["true_price"], priced["predicted_price"], config.bootstrap_samples)

    statistics = {"article_type_accuracy": accuracy, "price_rmsle": price}
    return {name: statistic for name, statistic in statistics.items() if name not in absent}


def _subset_slices(
    predictor: ProductPredictor,
    dataset: ListingDataset,
    frame: pd.DataFrame,
    shown: Collection[str],
    config: EvaluationConfig,
    absent: Collection[str],
) -> tuple[SliceMetric, ...]:
    """The same statistics on the first `SUBSET_ROWS` rows with a part of the listing withheld, slice `modalities`.

    What no row has cannot be withheld: there is no slice that leaves nothing to read, or all that there is.
    """
    rows = frame.head(SUBSET_ROWS).copy()
    part = dataset.first(len(rows))
    there = set(shown) & _readable(part, rows) - set(predictor.encoders.unread)
    found: list[SliceMetric] = []
    for name, visible in SUBSETS.items():
        kept = set(visible) & set(shown)
        if len(rows) < config.min_slice_rows or not kept & there or kept & there == there:
            continue
        answers = predictor.answer_all(inputs.only(kept) for inputs in part.batches(config.batch_size))
        rows["predicted_article_type"] = _best(predictor, answers, -1)
        rows["predicted_price"] = answers.of(PriceHead).median
        statistics = _slice_statistics(config, absent).items()
        found += [SliceMetric(slice="modalities", value=name, metric=metric, result=f(rows)) for metric, f in statistics]
    return tuple(found)


def _readable(part: ListingDataset, frame: pd.DataFrame) -> set[str]:
    """Which of `SEGMENTS` any of the rows has."""
    listings = part.rows.listings
    found = {
        "title": any(row.title for row in listings),
        "description": any(row.description for row in listings),
        "image": bool(frame["has_image"].any()),
        "attributes": any(row.pairs for row in listings),
    }
    return {name for name in SEGMENTS if found[name]}
