"""Measures a few-shot model by episodes: accuracy of what answers by default and of each learner alone, strangers, and time.

An episode is a task as a shop would teach it, of types that no learner has seen. A metric is the mean over episodes of the share
of an episode's queries, with its 95 % interval over episodes. Without a prefix it is that of the learner that answers by default
for that number of shots; `LEARNER.metric` is one learner's alone, `chance.metric` that of guessing. Learners that see photos are
measured on the products that have one, on few ways alone: they are slow.

Shapes: E episodes, m queries, W ways.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig
from models.evaluation.bootstrap import mean_interval, totals_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.metrics import bin_sums
from models.evaluation.results import AgainstBaseline, Evaluation, Metric, SliceMetric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun
from models.fewshot.calibration import support_of
from models.fewshot.episodes import Episode, Pool
from models.fewshot.learner import Learner
from models.fewshot.measures import measured
from models.fewshot.played import Played, Rejections, Setting, Values, play, rejections, uncalibrated
from models.fewshot.pools import pool_of
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.shown import class_rows, confused_rows, episode_rows, frame_of, shown_rows, type_rows

ONE, FIVE, MANY = Setting(5, 1), Setting(5, 5), Setting(20, 5)
NOVEL = Setting(5, 5, novel=True)
CURVE = (Setting(5, 2), Setting(5, 10), Setting(5, 20))
"""With `ONE` and `FIVE`, the accuracy by number of shots."""

CURVE_EPISODES = 150
"""Episodes behind each of these points, at most: they are drawn, not judged."""

PEERS = ("nearest_centroid", "prototypes")
"""Learners that what answers by default is held against episode by episode."""

BINS = 15
SLICED = "article_type"


@dataclass
class Found:
    """What comes together while measuring."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    against: list[AgainstBaseline] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)
    played: dict[Setting, Played] = field(default_factory=dict)
    rejected: dict[Setting, Rejections] = field(default_factory=dict)


def measure(
    predictor: FewshotPredictor, catalogue: Catalogue, products: pd.DataFrame, config: EvaluationConfig, split: str
) -> EvaluationRun:
    """Every metric on the types of `products`; the types of departments held back are measured apart from the others.

    Raises:
        VitrinaError: there are no products, or too few types to make an episode of.
    """
    if products.empty:
        raise VitrinaError(f"no product of the {split} types is in the catalogue: there is nothing to measure")
    whole = pool_of(catalogue, products, predictor.embedder, predictor.settings.config.model)
    return measure_pool(predictor, whole, catalogue.fingerprint(), config, split)


def measure_pool(predictor: FewshotPredictor, whole: Pool, data: str, config: EvaluationConfig, split: str) -> EvaluationRun:
    """`measure` on a pool; `data` is the fingerprint of the catalogue that it is of."""
    novel = [name for name in whole.types if predictor.settings.types.get(name) == "novel"]
    pool = whole.of_types([name for name in whole.types if name not in novel])
    found = Found()
    for setting in (ONE, FIVE, MANY):
        _accuracy(predictor, pool, setting, config, found)
    if novel:
        _accuracy(predictor, whole.of_types(novel), NOVEL, config, found)
    if not found.played:
        raise VitrinaError(f"nothing can be measured: {next(iter(found.not_applicable.values()))}")
    for setting in CURVE:
        _curve(predictor, pool, setting, config, found)
    for setting in (ONE, FIVE, NOVEL):
        _strangers(predictor, setting, config, found)
    _calibration(predictor, config, found)
    _latency(predictor, config, found)
    known = [name for name in whole.types if _is_known(name, predictor)]
    found.metrics["types_seen_before"] = Metric(value=len(known) / len(whole.types), n=len(whole.types))
    frame = _frame(predictor, found, known)
    evaluation = Evaluation(
        model=predictor.name,
        data=data,
        split=split,
        n=len(whole.codes),
        metrics=found.metrics,
        slices=_slices(predictor, found, config),
        against=tuple(found.against),
        not_applicable=found.not_applicable,
    )
    return EvaluationRun(evaluation, frame)


def _is_known(name: str, predictor: FewshotPredictor) -> bool:
    """Whether the base was trained on a type, or a learner was trained on it or chosen by it."""
    return name in predictor.embedder.types or predictor.settings.types.get(name) in ("train", "validation")


def _accuracy(predictor: FewshotPredictor, pool: Pool, setting: Setting, config: EvaluationConfig, found: Found) -> None:
    """The accuracy of what answers by default and of each learner, guessing, and the differences."""
    metric, default = f"accuracy_{setting.name}", predictor.settings.learner_for(setting.shots)
    if why := setting.lacks(pool):
        found.not_applicable[metric] = why
        return
    episodes, samples = predictor.settings.config.model.episodes, config.bootstrap_samples
    played = play(pool, setting, _reading(predictor, "features"), episodes.measuring, episodes)
    found.played[setting] = played
    own = played.accuracy(default)
    found.metrics[metric] = mean_interval(own, samples)
    found.metrics[f"chance.{metric}"] = Metric(value=1 / setting.ways, n=len(own))
    _hold(found, metric, f"chance.{metric}", own - 1 / setting.ways, samples)
    for name in played.logits:
        found.metrics[f"{name}.{metric}"] = mean_interval(played.accuracy(name), samples)
        if name in PEERS:
            _hold(found, metric, f"{name}.{metric}", own - played.accuracy(name), samples)
    if setting != MANY:
        _photos(predictor, pool, setting, config, found)


def _hold(found: Found, metric: str, baseline: str, gain: Values, samples: int) -> None:
    found.against.append(AgainstBaseline(metric=metric, baseline=baseline, difference=mean_interval(gain, samples)))


def _photos(predictor: FewshotPredictor, pool: Pool, setting: Setting, config: EvaluationConfig, found: Found) -> None:
    """The learners that see photos, on the products that have one."""
    if not (learners := _reading(predictor, "photos")):
        return
    seen, metric = pool.with_photo, f"accuracy_{setting.name}"
    if why := setting.lacks(seen):
        found.not_applicable |= {f"{name}.{metric}": f"{why}, with photos" for name in learners}
        return
    episodes = predictor.settings.config.model.episodes
    played = play(seen, setting, learners, episodes.measuring, episodes)
    for name in learners:
        found.metrics[f"{name}.{metric}"] = mean_interval(played.accuracy(name), config.bootstrap_samples)


def _curve(predictor: FewshotPredictor, pool: Pool, setting: Setting, config: EvaluationConfig, found: Found) -> None:
    """One more point of the accuracy by shots, where there are enough products for it."""
    if setting.lacks(pool):
        return
    episodes, metric = predictor.settings.config.model.episodes, f"accuracy_{setting.name}"
    played = play(pool, setting, _reading(predictor, "features"), min(CURVE_EPISODES, episodes.measuring), episodes)
    default = predictor.settings.learner_for(setting.shots)
    found.metrics[metric] = mean_interval(played.accuracy(default), config.bootstrap_samples)
    for name in played.logits:
        found.metrics[f"{name}.{metric}"] = mean_interval(played.accuracy(name), config.bootstrap_samples)


def _strangers(predictor: FewshotPredictor, setting: Setting, config: EvaluationConfig, found: Found) -> None:
    """What is rejected, rightly and falsely; of 5-way 5-shot tasks the names have no suffix."""
    suffix = "" if setting == FIVE else f"_{setting.name}"
    names = (f"unknown_rejection{suffix}", f"false_rejection{suffix}")
    played, samples = found.played.get(setting), config.bootstrap_samples
    told = None if played is None else rejections(played, predictor.fitted.unknown, predictor.fitted.prototypes)
    if played is None or told is None:
        if setting == FIVE:
            found.not_applicable |= dict.fromkeys(names, found.not_applicable[f"accuracy_{FIVE.name}"])
        return
    found.rejected[setting] = told
    found.metrics[names[1]] = mean_interval(told.false_rejection, samples)
    if not told.some:
        found.not_applicable[names[0]] = "all types to test are in each task: none is left to play a stranger"
        return
    found.metrics[names[0]] = mean_interval(told.unknown_rejection, samples)
    peer = uncalibrated(played, told.rate)
    found.metrics[f"nearest_centroid.{names[0]}"] = mean_interval(peer, samples)
    _hold(found, names[0], f"nearest_centroid.{names[0]}", told.unknown_rejection - peer, samples)


def _calibration(predictor: FewshotPredictor, config: EvaluationConfig, found: Found) -> None:
    """Expected calibration error of 5-way 5-shot probabilities, with its interval over episodes."""
    played, metric = found.played.get(FIVE), "expected_calibration_error"
    if played is None:
        found.not_applicable[metric] = found.not_applicable[f"accuracy_{FIVE.name}"]
        return
    default = predictor.settings.learner_for(FIVE.shots)
    told = zip(played.confidence(default), played.right(default), strict=True)
    sums = csr_matrix(np.stack([np.concatenate(bin_sums(confidence, right, BINS)) for confidence, right in told]))
    found.metrics[metric] = totals_interval(_calibration_error, sums, config.bootstrap_samples)


def _calibration_error(sums: Values) -> float:
    """Of the totals [3 · bins] of rows, confidence and correctness."""
    rows, confidence, correct = sums.reshape(3, BINS)
    return float(np.abs(confidence - correct).sum() / max(rows.sum(), 1.0))


@one_thread()
def _latency(predictor: FewshotPredictor, config: EvaluationConfig, found: Found) -> None:
    """Milliseconds of wall time, on one thread, to teach a 5-way 5-shot task whose features are ready, and to measure it."""
    played, names = found.played.get(FIVE), ("adapt_p50_ms", "adapt_p95_ms")
    if played is None:
        found.not_applicable |= dict.fromkeys(names, found.not_applicable[f"accuracy_{FIVE.name}"])
        return
    learner = predictor.fitted.learners[predictor.settings.learner_for(FIVE.shots)]
    milliseconds = []
    for call in range(config.latency_calls):
        episode = played.episodes[call % len(played.episodes)]
        support, labels = support_of(played.pool, episode, "features"), _labels(played.pool, episode)
        started = time.perf_counter()
        measured(learner, learner.adapt(support), support, labels)
        milliseconds.append(1000 * (time.perf_counter() - started))
    timed = latency_metrics(milliseconds, config.bootstrap_samples)
    found.metrics |= {name: timed[f"latency_{name.removeprefix('adapt_')}"] for name in names}


def _labels(pool: Pool, episode: Episode) -> list[str]:
    return [pool.types[code] for code in episode.types]


def _reading(predictor: FewshotPredictor, what: str) -> Mapping[str, Learner[Any]]:
    """The learners that read features, or photos."""
    return {name: learner for name, learner in predictor.fitted.learners.items() if learner.reads == what}


def _slices(predictor: FewshotPredictor, found: Found, config: EvaluationConfig) -> tuple[SliceMetric, ...]:
    """Accuracy of 5-way 5-shot tasks by type, over the episodes that it is a class of."""
    if FIVE not in found.played:
        return ()
    rows = class_rows(found.played[FIVE], predictor.settings.learner_for(FIVE.shots), found.rejected[FIVE])

    def accuracy(part: pd.DataFrame) -> Metric:
        return mean_interval(part["accuracy"], config.bootstrap_samples)

    return slice_metrics(
        rows.rename(columns={"true": SLICED}), [SLICED], {f"accuracy_{FIVE.name}": accuracy}, config.min_slice_rows
    )


def _frame(predictor: FewshotPredictor, found: Found, known: Sequence[str]) -> pd.DataFrame:
    """See `models.fewshot.shown`."""
    parts = []
    for setting, played in found.played.items():
        name, told = predictor.settings.learner_for(setting.shots), found.rejected.get(setting)
        parts.append(episode_rows(played, name, told))
        if told is not None and setting != ONE:
            parts += [type_rows(played, class_rows(played, name, told), known), confused_rows(played, name, told)]
            parts += shown_rows(played, name, predictor.fitted.learners[name], told)
    return frame_of(parts)
