"""Measures an image generator on titles of products that it has not seen, beside what it has to be worth more than.

What an image shows is told by the version's judge, which never saw a drawing; its own figures on the products' real photos stand
beside. Peers draw for the same titles: the linear prior alone, and the mean of the photos of the most similar titles' products.
Distances between sets of images are to the photos of the measured products; beside them that of as many photos of other products.

Shapes: n products, images of H x W pixels, D features.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.catalogue import Catalogue
from catalog.text import normalise
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.results import AgainstBaseline, Evaluation, Metric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun
from models.imagegen.answers import Prompt, Score
from models.imagegen.config import ImagegenModelConfig
from models.imagegen.drawn import Drawn, HasPrior, Measurable, draw, drawable, png, seed_of
from models.imagegen.judge.distances import Distance, difference_interval, distance_interval, frechet, kernel
from models.imagegen.judge.judge import COLOUR, TYPE, Judge, Verdicts
from models.imagegen.names import HELD, PEERS, REAL
from models.imagegen.nearest import NearestPhotos
from models.imagegen.photos import Pixels
from models.imagegen.rows import labels_of, with_photos
from models.imagegen.sweeps import PRODUCT, sweeps

log = logging.getLogger(__name__)

OWN, BEST, OTHERS = "", "best", "others"
"""First candidates, best candidates, and photos of other products."""

AGREEMENT = {TYPE: "type_agreement", COLOUR: "colour_agreement"}
JUDGED = {TYPE: "judged_types", COLOUR: "judged_colours"}
DISTANCES: dict[str, Distance] = {"fid": frechet, "kid": kernel}

BANDS = ((0, "0 to 20"), (21, "21 to 100"), (101, "101 to 500"), (501, "more than 500"))
"""Slices by the number of training photos of the article type."""

TIMED = 10
"""Images drawn one by one for the time, at most: each may take seconds."""

NOT_LEARNED = "too few training photos say it, so that no judge of it could be trained"
NO_PRIOR = "a version that was started from a pipeline has no prior"
NO_NEIGHBOURS = "the catalogue holds no product that the version was fitted on"


@dataclass(frozen=True, eq=False)
class Asked:
    """What is measured.

    Attributes:
        products: n rows that have a title and a photo.
        photos: Theirs (n, H, W, 3), of the size that is drawn.
        labels: What the catalogue says of each product, by label.
        prompts: Their titles, resolved.
        learned: Products that the version was fitted on, and that are at hand; none of them is measured.
        others: Groups of products that are not measured, the ones that stand best for other real photos first.
    """

    products: pd.DataFrame
    photos: Pixels
    labels: dict[str, Sequence[str | None]]
    prompts: list[Prompt]
    learned: pd.DataFrame
    others: tuple[pd.DataFrame, ...]

    @property
    def titles(self) -> list[str]:
        """Texts of the prompts."""
        return [prompt.text for prompt in self.prompts]


@dataclass
class Found:
    """What comes together while measuring: images by who made them, what the judge sees in them, and metrics."""

    images: dict[str, Pixels] = field(default_factory=dict)
    verdicts: dict[str, Verdicts] = field(default_factory=dict)
    hits: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    against: list[AgainstBaseline] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)


def measure(
    subject: Measurable,
    model: ImagegenModelConfig,
    catalogue: Catalogue,
    products: pd.DataFrame,
    known: pd.DataFrame,
    config: EvaluationConfig,
    split: str,
    keep: Path | None = None,
    most: int | None = None,
) -> EvaluationRun:
    """Every metric on some of `products`.

    Args:
        subject: The version's predictor.
        model: The version's configuration.
        catalogue: Of all products.
        products: Those to measure; at most `most` that have a title and a photo are.
        known: Others that the version was fitted on or chosen by, and that are at hand; a column `part` says train or validation.
        config: Intervals, slices and how often it is timed.
        split: What the products are called.
        keep: Folder in which drawn batches are kept, for a long measuring that may be ended.
        most: Products at most; the version's `measured.products` where it is not given.

    Raises:
        VitrinaError: none of the products has a title that can be drawn and a photo that can be decoded.
    """
    asked = _asked(subject, model, catalogue, products, known, most or model.measured.products)
    seeds = [seed_of(product_id) for product_id in asked.products["product_id"]]
    drawn = draw(subject, asked.prompts, seeds, model.measured.candidates, keep)
    found = Found({OWN: drawn.first, BEST: drawn.best, REAL: asked.photos})
    _peers(found, subject, asked, catalogue)
    judge = subject.judge
    if judge is None:
        found.not_applicable |= _all_of([*AGREEMENT.values(), *DISTANCES], NOT_LEARNED)
    else:
        found.verdicts = {name: judge.read(pixels) for name, pixels in found.images.items()}
        _agreements(found, judge, asked, config)
        _distances(found)
    real = subject.score(asked.prompts, list(asked.photos))
    _scores(found, drawn, real, config)
    _latency(found, subject, asked.prompts, config)
    frame = _frame(found, asked, drawn, real, judge, model.measured.gallery)
    evaluation = Evaluation(
        model=subject.name,
        data=catalogue.fingerprint(),
        split=split,
        n=len(asked.prompts),
        metrics=found.metrics,
        slices=slice_metrics(frame, ["master_category", "photos"], _sliced(found, config), config.min_slice_rows),
        against=tuple(found.against),
        not_applicable=found.not_applicable,
    )
    shown = asked.products.head(model.measured.swept)
    return EvaluationRun(evaluation, pd.concat([frame, sweeps(subject, shown, model.generation)], ignore_index=True))


def _asked(
    subject: Measurable,
    model: ImagegenModelConfig,
    catalogue: Catalogue,
    products: pd.DataFrame,
    known: pd.DataFrame,
    most: int,
) -> Asked:
    """Products in an order by hash: the same ones whatever version is measured."""
    size, drawn = subject.painter.sizes[0], model.generation
    plain = Prompt(text="", size=size, steps=drawn.steps, guidance=drawn.guidance, sampler=drawn.sampler)
    by_id = drawable(subject, products, plain)
    kept, photos = with_photos(catalogue, products[products["product_id"].isin(by_id)], size, most)
    if kept.empty:
        raise VitrinaError(f"none of {len(products):,} products has a title that can be drawn and a photo that can be decoded")
    prompts = [by_id[product_id] for product_id in kept["product_id"]]
    rest = products[~products["product_id"].isin(kept["product_id"])]
    others = (rest, known[known["part"] == "validation"], known)
    return Asked(kept, photos, labels_of(kept), prompts, known[known["part"] == "train"], others)


def _peers(found: Found, subject: Measurable, asked: Asked, catalogue: Catalogue) -> None:
    """Images of those that are no generator, and as many photos of other products."""
    size, count = subject.painter.sizes[0], len(asked.prompts)
    if isinstance(subject.painter, HasPrior):
        found.images["prior"] = subject.painter.prior(asked.prompts)
    neighbours = NearestPhotos.fit(asked.learned)
    if neighbours is not None:
        found.images["nearest"] = neighbours.draw(asked.titles, catalogue, size)
    for peer, why in (("prior", NO_PRIOR), ("nearest", NO_NEIGHBOURS)):
        if peer not in found.images:
            found.not_applicable |= {f"{peer}.{metric}": why for metric in HELD}
    for products in asked.others:
        if len(products) >= count:
            others = with_photos(catalogue, products, size, count)[1]
            if len(others) == count:  # a distance of fewer images would not compare
                found.images[OTHERS] = others
                return
    why = f"the catalogue has no {count} further products with photos"
    found.not_applicable |= dict.fromkeys((f"{REAL}.fid", f"{REAL}.kid"), why)


def _agreements(found: Found, judge: Judge, asked: Asked, config: EvaluationConfig) -> None:
    """Share of images whose type and colour are those of the product, of those that the judge can know."""
    named = _names_its_colour(asked)
    for label, metric in AGREEMENT.items():
        if label not in judge.settings.classes:
            found.not_applicable |= _all_of([metric], NOT_LEARNED)
            continue
        true = asked.labels[label]
        known = np.isin([value or "" for value in true], judge.settings.classes[label])
        found.metrics[JUDGED[label]] = mean_interval(known.astype(float), config.bootstrap_samples)
        for source, verdicts in found.verdicts.items():
            if source == OTHERS:
                continue
            right = np.array([said == value for said, value in zip(verdicts.labels[label], true, strict=True)], dtype=float)
            right[~known] = np.nan
            found.hits.setdefault(source, {})[metric] = right
            found.metrics[_name(source, metric)] = mean_interval(right[known], config.bootstrap_samples)
            if label == COLOUR and source in (OWN, REAL):
                name = _name(source, f"named.{metric}")
                found.metrics[name] = mean_interval(right[known & named], config.bootstrap_samples)
        for peer in PEERS:
            if peer in found.hits:
                change = (found.hits[OWN][metric] - found.hits[peer][metric])[known]
                _hold(found, metric, peer, mean_interval(change, config.bootstrap_samples))


def _names_its_colour(asked: Asked) -> NDArray[np.bool_]:
    """Whether each title holds the words of the colour that it should have (n)."""
    colours = asked.labels[COLOUR]
    held = [
        colour is not None and f" {normalise(colour)} " in f" {normalise(title)} "
        for title, colour in zip(asked.titles, colours, strict=True)
    ]
    return np.array(held, dtype=bool)


def _distances(found: Found) -> None:
    """Of each source's images to the photos of the measured products."""
    features = {source: verdicts.features for source, verdicts in found.verdicts.items()}
    real = features[REAL]
    for metric, distance in DISTANCES.items():
        for source in (OWN, *PEERS, OTHERS):
            if source in features:
                name = _name(REAL if source == OTHERS else source, metric)
                found.metrics[name] = distance_interval(distance, real, features[source])
        for peer in PEERS:
            if peer in features:
                _hold(found, metric, peer, difference_interval(distance, real, features[OWN], features[peer]))


def _all_of(metrics: Sequence[str], why: str) -> dict[str, str]:
    """Why a metric is not applicable to images, the best candidates, real photos and peers alike."""
    return {_name(source, metric): why for metric in metrics for source in (OWN, BEST, REAL, *PEERS)}


def _hold(found: Found, metric: str, peer: str, difference: Metric) -> None:
    found.against.append(AgainstBaseline(metric=metric, baseline=f"{peer}.{metric}", difference=difference))


def _name(source: str, metric: str) -> str:
    return f"{source}.{metric}" if source else metric


def _scores(found: Found, drawn: Drawn, real: Sequence[Score], config: EvaluationConfig) -> None:
    """Scores, and how near images come to training photos, of images and of real photos."""
    samples = config.bootstrap_samples
    for source, scores in ((OWN, drawn.first_scores), (BEST, drawn.best_scores), (REAL, real)):
        found.metrics[_name(source, "score")] = mean_interval([score.overall for score in scores], samples)
        if source != OWN:
            prefix = "" if source == BEST else source
            copied = [float(score.nearest.memorised) for score in scores]
            distances = [score.nearest.distance for score in scores]
            found.metrics[_name(prefix, "memorised")] = mean_interval(copied, samples)
            found.metrics[_name(prefix, "nearest_distance")] = interval(_median, distances, samples=samples)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


@one_thread()
def _latency(found: Found, subject: Measurable, prompts: Sequence[Prompt], config: EvaluationConfig) -> None:
    """Milliseconds of wall time for one image without its score, on one thread, as a worker that serves has it."""
    milliseconds = []
    for call in range(min(config.latency_calls, TIMED)):
        started = time.perf_counter()
        subject.painter.paint([prompts[call % len(prompts)]], [call])
        milliseconds.append(1000 * (time.perf_counter() - started))
    timed = latency_metrics(milliseconds, config.bootstrap_samples)
    found.metrics |= {f"draw_{name.removeprefix('latency_')}": metric for name, metric in timed.items()}


def _sliced(found: Found, config: EvaluationConfig) -> dict[str, Callable[[pd.DataFrame], Metric]]:
    """Agreements of the first candidate, over the rows of a part that can be judged."""

    def mean(part: pd.DataFrame, column: str) -> Metric:
        return mean_interval(part[column].dropna(), config.bootstrap_samples)

    return {metric: partial(mean, column=metric) for metric in AGREEMENT.values() if metric in found.hits.get(OWN, {})}


def _frame(found: Found, asked: Asked, drawn: Drawn, real: Sequence[Score], judge: Judge | None, gallery: int) -> pd.DataFrame:
    """A row a product: how its images were judged and scored, and the images, PNG; those of peers for the first ones alone."""
    products, count = asked.products, len(asked.prompts)
    frame = pd.DataFrame(
        {
            "kind": PRODUCT,
            "product_id": products["product_id"].astype(str),
            "title": asked.titles,
            "article_type": list(asked.labels[TYPE]),
            "base_colour": list(asked.labels[COLOUR]),
            "master_category": products["master_category"],
            "seed": drawn.seeds,
            "image": [png(pixels) for pixels in drawn.best],
            "photo": [png(pixels) for pixels in asked.photos],
        }
    )
    for source, hits in found.hits.items():
        frame = frame.assign(**{_name(source, metric): values for metric, values in hits.items()})
    for label, seen in found.verdicts[BEST].labels.items() if found.verdicts else ():
        frame[f"seen_{label}"] = list(seen)
        frame[f"sure_{label}"] = found.verdicts[BEST].probabilities[label]
    for peer in PEERS:
        images = found.images.get(peer)
        frame[f"{peer}_image"] = [png(images[row]) if images is not None and row < gallery else None for row in range(count)]
    for prefix, scores in (("first_", drawn.first_scores), ("", drawn.best_scores), ("real_", real)):
        frame = frame.assign(**_score_columns(prefix, scores))
    frame["photos"] = _bands(frame["article_type"], judge)
    return frame


def _score_columns(prefix: str, scores: Sequence[Score]) -> dict[str, list[Any]]:
    parts = ("overall", "agreement", "sharpness", "exposure", "white_background")
    columns: dict[str, list[Any]] = {f"{prefix}{part}": [getattr(score, part) for score in scores] for part in parts}
    return columns | {
        f"{prefix}nearest_id": [score.nearest.product_id for score in scores],
        f"{prefix}distance": [score.nearest.distance for score in scores],
        f"{prefix}copied": [score.nearest.memorised for score in scores],
    }


def _bands(types: "pd.Series[Any]", judge: Judge | None) -> Any:
    """How many training photos each product's type has, in bands, an ordered category; missing where no type is given."""
    photos = {} if judge is None else judge.settings.photos.get(TYPE, {})
    starts = np.array([start for start, _ in BANDS])
    names = [name for _, name in BANDS]
    found = [names[int((starts <= photos.get(kind, 0)).sum()) - 1] if isinstance(kind, str) else None for kind in types]
    return pd.Categorical(found if photos else [None] * len(types), categories=names, ordered=True)
