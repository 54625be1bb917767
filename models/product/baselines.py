"""Simple models of the same training rows: what a trained network has to be worth its cost against.

Always the most frequent article type, always the median price; linear models of titles: the support vector machines that the
network starts from (`priors.title`), and ridge regression of the logarithm of the price (Hoerl & Kennard 1970); of photos,
linear discriminant analysis (Fisher 1936) of thumbnails. All answer every row: where a row lacks what a model reads, it says what
it would say without reading.

Shapes: n rows, T article types with the missing one at 0, P numbers of a thumbnail.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from configs.errors import VitrinaError
from models.evaluation.bootstrap import interval, mean_interval, rmsle_interval
from models.evaluation.metrics import rmsle
from models.evaluation.results import AgainstBaseline, Metric
from models.product.config import ProductModelConfig
from models.product.data import ListingDataset
from models.product.priors.linear import LinearPrior, fold_of
from models.product.priors.title import BLOCKS

FILE = "baselines.safetensors"
BITS = 16
"""log2 of the hashed features of each block of a title, at most: 14 are 7 % worse on 8,000 rows, 17 are twice the size."""

SIDE = 12
"""Pixels of a thumbnail's side: of 142 types, 8 name 57 %, 12 name 61 % of photos after 8,000 rows."""

SHRINKAGE = 0.1
"""Of the covariance towards a multiple of the identity, so that a few hundred photos do for it."""

PHOTOS = 10_000
"""Photos it is fitted on at most: seconds, whatever the catalogue's size."""


@dataclass(frozen=True)
class Thumbnails:
    """Coefficients (P, T), -inf intercepts (T,) of types it does not know."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    def types(self, thumbnails: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest type (n,) of each thumbnail (n, P)."""
        best: NDArray[np.int64] = (thumbnails @ self.coefficients + self.intercepts).argmax(axis=1)
        return best


@dataclass(frozen=True)
class SimpleModels:
    """Fitted on training rows; None where those do not allow it.

    Attributes:
        title_price: The logarithm of 1 + price by the n-grams of a title.
        photo: The article type by a thumbnail.
    """

    title_price: LinearPrior | None
    photo: Thumbnails | None

    @classmethod
    def fit(cls, training: ListingDataset, config: ProductModelConfig) -> "SimpleModels":
        """Of training rows as they are."""
        return cls(_fit_title_price(training, config), _fit_photo(training))

    def save(self, folder: Path) -> None:
        """Write `baselines.safetensors`, which may hold nothing."""
        arrays: dict[str, NDArray[Any]] = {}
        if self.title_price:
            arrays |= {f"title_price.{name}": array for name, array in self.title_price.arrays().items()}
        if self.photo:
            arrays |= {"photo.coefficients": self.photo.coefficients, "photo.intercepts": self.photo.intercepts}
        save_file(arrays, folder / FILE)
        (folder / FILE).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users

    @classmethod
    def load(cls, folder: Path) -> "SimpleModels":
        """Read what `save` wrote; a bundle made before there were simple models has none.

        Raises:
            VitrinaError: the file is damaged.
        """
        if not (folder / FILE).exists():
            return cls(None, None)
        try:
            arrays = load_file(folder / FILE)
        except (OSError, SafetensorError) as error:
            raise VitrinaError(f"cannot read {folder / FILE}: {str(error).splitlines()[0]}") from error
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for key, array in arrays.items():
            name, _, rest = key.partition(".")
            parts.setdefault(name, {})[rest] = array
        photo = parts.get("photo")
        return cls(
            title_price=LinearPrior.from_arrays(BLOCKS, parts["title_price"]) if "title_price" in parts else None,
            photo=Thumbnails(photo["coefficients"], photo["intercepts"]) if photo else None,
        )


@dataclass(frozen=True)
class Compared:
    """What simple models reach on the rows of an evaluation, and what the version is worth beside them; see `Measured`."""

    metrics: Mapping[str, Metric]
    against: tuple[AgainstBaseline, ...]
    not_applicable: Mapping[str, str]


def compare(
    frame: pd.DataFrame,
    dataset: ListingDataset,
    simple: SimpleModels,
    most_frequent: str | None,
    median: float | None,
    shown: Collection[str],
    samples: int,
) -> Compared:
    """Measure every simple model that there is on the rows of `frame` (true and predicted types and prices).

    `dataset` has the same rows. `most_frequent` type and `median` price are the training rows'. A simple model reads only what
    the version is shown.
    """
    types: dict[str, NDArray[np.object_]] = {}
    if most_frequent is not None:
        types["majority_accuracy"] = np.full(len(frame), most_frequent, dtype=object)
    prices: dict[str, NDArray[np.float64]] = {} if median is None else {"median_price_rmsle": np.full(len(frame), median)}
    absent = {} if median is not None else {"median_price_rmsle": "no training row has a price"}
    titles, photos = "title" in shown, "image" in shown
    if titles and dataset.encoders.priors.title and most_frequent is not None:
        types["linear_title_accuracy"] = _types_of_titles(dataset, most_frequent)
    else:
        absent["linear_title_accuracy"] = "titles are withheld" if not titles else "no two article types have training titles"
    if photos and simple.photo and most_frequent is not None:
        types["linear_photo_accuracy"] = _types_of_photos(dataset, simple.photo, most_frequent)
    else:
        absent["linear_photo_accuracy"] = "photos are withheld" if not photos else "no two article types have training photos"
    if titles and simple.title_price:
        told = simple.title_price.features({"title": [row.title for row in dataset.rows.listings]})
        prices["linear_title_price_rmsle"] = np.expm1(simple.title_price.answers(told).astype(float))
    else:
        absent["linear_title_price_rmsle"] = "titles are withheld" if not titles else "no training row has a title and a price"
    metrics, against = _type_metrics(frame, types, samples)
    of_prices, against_prices = _price_metrics(frame, prices, samples)
    return Compared(metrics | of_prices, (*against, *against_prices), absent)


def _type_metrics(
    frame: pd.DataFrame, answers: Mapping[str, NDArray[np.object_]], samples: int
) -> tuple[dict[str, Metric], list[AgainstBaseline]]:
    """Accuracy of each model, and of the version minus it, on the rows whose article type is known."""
    known = frame["true_article_type"].notna().to_numpy()
    true = frame.loc[known, "true_article_type"].to_numpy(dtype=object)
    right = np.asarray(frame.loc[known, "predicted_article_type"].to_numpy(dtype=object) == true, dtype=float)
    metrics, against = {}, []
    for name, answer in answers.items():
        theirs = np.asarray(answer[known] == true, dtype=float)
        metrics[name] = mean_interval(theirs, samples)
        difference = mean_interval(right - theirs, samples)
        against.append(AgainstBaseline(metric="article_type_accuracy", baseline=name, difference=difference))
    return metrics, against


def _price_metrics(
    frame: pd.DataFrame, answers: Mapping[str, NDArray[np.float64]], samples: int
) -> tuple[dict[str, Metric], list[AgainstBaseline]]:
    """RMSLE of each model, and of the version minus it, on the rows whose price is known."""
    known = (frame["true_price"].notna() & frame["predicted_price"].notna()).to_numpy()
    priced = frame["true_price"].notna().to_numpy()
    metrics, against = {}, []
    for name, answer in answers.items():
        metrics[name] = rmsle_interval(frame.loc[priced, "true_price"], answer[priced], samples)
        difference = interval(
            lambda true, ours, theirs: rmsle(true, ours) - rmsle(true, theirs),
            frame.loc[known, "true_price"].to_numpy(dtype=float),
            frame.loc[known, "predicted_price"].to_numpy(dtype=float),
            answer[known],
            samples=samples,
        )
        against.append(AgainstBaseline(metric="price_rmsle", baseline=name, difference=difference))
    return metrics, against


def _types_of_titles(dataset: ListingDataset, most_frequent: str) -> NDArray[np.object_]:
    """What the linear prior of titles says of each row, by itself."""
    told = dataset.encoders.priors.log_types(dataset.rows.listings)
    best = told[:, 1:].argmax(axis=1) + 1
    types = dataset.encoders.levels[-1]
    found = [types.decode(int(code)) if row.any() else most_frequent for code, row in zip(best, told, strict=True)]
    return np.array(found, dtype=object)


def _types_of_photos(dataset: ListingDataset, model: Thumbnails, most_frequent: str) -> NDArray[np.object_]:
    found = np.full(len(dataset), most_frequent, dtype=object)
    rows, thumbnails = _thumbnails(dataset, range(len(dataset)))
    if len(rows):
        found[rows] = [dataset.encoders.levels[-1].decode(int(code)) for code in model.types(thumbnails)]
    return found


def _fit_title_price(training: ListingDataset, config: ProductModelConfig) -> LinearPrior | None:
    """None where the rows with a title and a price are all in one fold, as one or two rows are."""
    rows = [i for i, row in enumerate(training.rows.listings) if row.title and row.price is not None]
    fold = fold_of(training.rows.photos[i] for i in rows)
    if len(np.unique(fold)) < 2:
        return None
    titles = [training.rows.listings[i].title for i in rows]
    target = np.log1p(np.array([training.rows.listings[i].price for i in rows], dtype=np.float64))
    bits = min(BITS, config.prior_bits)
    return LinearPrior.fit(BLOCKS, {"title": titles}, target, fold, "ridge", bits, config.priors.linear)


def _fit_photo(training: ListingDataset) -> Thumbnails | None:
    """On types with at least two photos; None unless there are two such types."""
    types = training.encoders.levels[-1]
    codes = np.array([types.encode(row.categories[-1]) for row in training.rows.listings], dtype=np.int64)
    there = [i for i in np.flatnonzero(codes).tolist() if training.images.get(training.rows.photos[i]) is not None]
    drawn = np.sort(np.random.default_rng(0).permutation(there)[:PHOTOS]).tolist()
    rows, thumbnails = _thumbnails(training, drawn)
    often = {code for code, count in Counter(codes[rows].tolist()).items() if count > 1}
    kept = np.isin(codes[rows], sorted(often))
    if len(often) < 2:
        return None
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(thumbnails[kept], codes[rows][kept])
    slopes, offsets = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one function tells both
        slopes, offsets = np.concatenate([0 * slopes, slopes]), np.concatenate([0 * offsets, offsets])
    coefficients = np.zeros((thumbnails.shape[1], len(types)), dtype=np.float32)
    coefficients[:, model.classes_] = slopes.T
    intercepts = np.full(len(types), -np.inf, dtype=np.float32)
    intercepts[model.classes_] = offsets
    return Thumbnails(coefficients, intercepts)


def _thumbnails(dataset: ListingDataset, rows: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Those of the rows that have a readable photo, and its thumbnail (n, P) in 0…1."""
    found = [(row, photo.ravel()) for row in rows if (photo := dataset.photo(row, (SIDE, SIDE))) is not None]
    pixels = np.stack([photo for _, photo in found]) if found else np.zeros((0, SIDE * SIDE * 3))
    return np.array([row for row, _ in found], dtype=np.int64), (pixels / 255).astype(np.float32)
