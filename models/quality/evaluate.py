"""Measures a quality model on listings that nobody has judged by hand: by what it says of the same listings made worse.

Intervals are over listings: what is asked of the twins of one listing counts as one row. Without a prefix a metric is the
version's; `completeness.metric` is that of counting what is given, `product.metric` that of the product model's own quality head,
`chance.metric` that of naming an axis at random.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.corruption import PART
from configs.schema import EvaluationConfig
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.results import AgainstBaseline, Evaluation, Metric, SliceMetric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun
from models.quality import trials
from models.quality.answers import AXES, Candidate
from models.quality.axes import readers
from models.quality.predictor import QualityPredictor
from models.quality.trials import GOOD, Tried

SHAPE = "shape"
"""The kind of rows that are points of curves and no listings."""
RECALL = 0.8
"""At which the precision of duplicates is measured."""
ROUNDING = 1e-4
"""A smaller loss does not show in a score of four decimals."""
SUGGESTED = 1000
"""Twins whose first suggestion is carried out, at most."""
SHOWN = 24
"""Assessments that the page shows: half of them of listings as they are."""


@dataclass
class Found:
    """What comes together while measuring."""

    samples: int
    metrics: dict[str, Metric] = field(default_factory=dict)
    against: list[AgainstBaseline] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)

    def mean(self, name: str, rows: pd.DataFrame, column: str) -> None:
        """Mean over listings of their means."""
        self.metrics[name] = mean_interval(by_listing(rows, column), self.samples)

    def hold(self, metric: str, rows: pd.DataFrame, column: str, peer: str, of_peer: str) -> None:
        """The same of a simple model, and the difference on the same rows."""
        own, other = by_listing(rows, column), by_listing(rows, of_peer)
        baseline = f"{peer}.{metric}"
        self.metrics[baseline] = mean_interval(other, self.samples)
        self.against.append(
            AgainstBaseline(metric=metric, baseline=baseline, difference=mean_interval(own - other, self.samples))
        )


def by_listing(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Mean of a column over the rows of each listing, in one order."""
    return np.asarray(rows[column].astype(float).groupby(rows["product_id"]).mean().sort_index(), dtype=np.float64)


def measure(
    predictor: QualityPredictor, good: Sequence[Candidate], data: str, config: EvaluationConfig, split: str
) -> EvaluationRun:
    """Every metric on listings that count as good."""
    found = Found(config.bootstrap_samples)
    rows, tried = list[dict[str, object]](), list[Tried]()
    for batch in trials.faults(predictor, good):
        rows += [one.row for one in batch]
        tried += [one for one in batch if one.twin is not None and _drawn(one, len(good))]
    frame = pd.DataFrame(rows)
    twins = _with_hits(frame[frame["kind"] != GOOD])
    _order(found, twins)
    _attribution(found, twins)
    _verdicts(found, predictor, frame, twins)
    suggested = _suggestions(found, predictor, tried, good)
    _never_lowers(found, predictor, good)
    _duplicates(found, trials.duplicates(predictor, good))
    _latency(found, predictor, good, config)
    told = _told(predictor, tried, good)
    frame = frame.merge(told, on=["product_id", "kind"], how="left").merge(suggested, on=["product_id", "kind"], how="left")
    frame["key"] = frame["product_id"] + " " + frame["kind"]
    frame = pd.concat([frame, _shapes(predictor)], ignore_index=True)
    evaluation = Evaluation(
        model=predictor.name,
        data=data,
        split=split,
        n=len(good),
        metrics=found.metrics,
        slices=_slices(twins, config),
        against=tuple(found.against),
        not_applicable=found.not_applicable,
    )
    return EvaluationRun(evaluation, frame)


def _drawn(one: Tried, listings: int) -> bool:
    """Whether the twin's first suggestion is carried out: as many of each kind, spread over all listings."""
    kinds = sorted(PART)
    step = max(1, round(listings * len(kinds) / SUGGESTED))
    return (one.of + kinds.index(str(one.row["kind"]))) % step == 0


def _with_hits(twins: pd.DataFrame) -> pd.DataFrame:
    """With whether each is right: the order, the axis, and those of the simple models."""
    found = twins.copy()
    for prefix, score in (("", "score"), ("product_", "product_score"), ("completeness_", "completeness")):
        found[f"{prefix}order"] = found[score].astype(float) < found[f"{score}_before"].astype(float)
    found["hit"] = found["worst"] == found["axis"]
    found["unseen_hit"] = found["unseen_worst"] == found["axis"]
    found["product_hit"] = found["product_worst"] == found["axis"]
    found["chance_hit"] = 1.0 / found[[f"axis_{axis}" for axis in AXES if f"axis_{axis}" in found]].notna().sum(axis=1)
    return found


def _order(found: Found, twins: pd.DataFrame) -> None:
    """Whether what is worse scores lower."""
    found.mean("twin_order", twins, "order")
    for kind, rows in twins.groupby("kind"):
        found.mean(f"twin_order.{kind}", rows, "order")
    found.hold("twin_order", twins, "order", "completeness", "completeness_order")
    if twins["product_score"].notna().all():
        found.hold("twin_order", twins, "order", "product", "product_order")


def _attribution(found: Found, twins: pd.DataFrame) -> None:
    """Whether the lowest axis is that of the fault; where the kind was never shown, only of axes that others were shown of."""
    found.mean("fault_attribution", twins, "hit")
    found.hold("fault_attribution", twins, "hit", "chance", "chance_hit")
    if twins["product_worst"].notna().all():
        found.hold("fault_attribution", twins, "hit", "product", "product_hit")
    for kind, rows in twins.groupby("kind"):
        found.mean(f"fault_attribution.{kind}", rows, "hit")
    unseen = twins[twins["unseen_worst"].notna()]
    name = "fault_attribution_unseen"
    if unseen.empty:
        found.not_applicable[name] = "every axis is learned from one kind of fault: without it, it cannot be scored"
        return
    found.mean(name, unseen, "unseen_hit")
    for kind, rows in unseen.groupby("kind"):
        found.mean(f"{name}.{kind}", rows, "unseen_hit")


def _verdicts(found: Found, predictor: QualityPredictor, frame: pd.DataFrame, twins: pd.DataFrame) -> None:
    """How many are published."""
    for name, rows in (("publish_share", frame[frame["kind"] == GOOD]), ("fault_publish_share", twins)):
        published = rows.assign(published=rows["score"].astype(float) >= predictor.threshold)
        found.mean(name, published, "published")


def _suggestions(found: Found, predictor: QualityPredictor, tried: Sequence[Tried], good: Sequence[Candidate]) -> pd.DataFrame:
    """What the first suggestions are worth, in batches."""
    rows = list[dict[str, object]]()
    for start in range(0, len(tried), trials.BATCH):
        rows += trials.suggestions(predictor, tried[start : start + trials.BATCH], good)
    frame = pd.DataFrame(rows, columns=["product_id", "kind", "suggested", "suggestion_axis", "before", "after"])
    found.mean("suggestion_share", frame, "suggested")
    carried = frame[frame["after"].notna()]
    found.mean("first_suggestion_raises", carried.assign(raised=carried["after"] > carried["before"]), "raised")
    return frame


def _never_lowers(found: Found, predictor: QualityPredictor, good: Sequence[Candidate]) -> None:
    """What is truly better must not score lower by so much that it shows."""
    frame = trials.never_lower(predictor.judge, good)
    frame["held"] = frame["better"] >= frame["worse"] - ROUNDING
    found.metrics["improvement_never_lowers"] = mean_interval(frame["held"].astype(float), found.samples)
    found.metrics["improvement_violations"] = Metric(value=float((~frame["held"]).sum()), n=len(frame))


def _duplicates(found: Found, frame: pd.DataFrame) -> None:
    """Precision where so many of those that were made anew are found that recall is `RECALL`, and recall where all are called."""
    made = frame["what"] != "stranger"
    right = (made & frame["right"].eq(True)).to_numpy()
    statistic = partial(precision_at_recall, recall=RECALL)
    p, positive = frame["p"].to_numpy(dtype=np.float64), made.to_numpy()
    found.metrics["duplicate_precision_at_recall_80"] = interval(statistic, p, right, positive, samples=found.samples)
    called = right[positive] & (p[positive] >= 0.5)
    found.metrics["duplicate_recall"] = mean_interval(called.astype(float), found.samples)


def precision_at_recall(p: NDArray[np.float64], right: NDArray[Any], positive: NDArray[Any], recall: float) -> float:
    """Share of right answers among those so probable that `recall` of the positives is rightly found; 0 where it never is.

    Args:
        p: Probability of each answer (n,).
        right: Whether a positive was rightly found (n,).
        positive: Whether there was something to find (n,).
        recall: To reach.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-p, kind="stable")
    found = np.cumsum(right[order])
    last = np.append(p[order][1:] < p[order][:-1], True)  # equal probabilities are called together
    reached = (found / positive.sum() >= recall) & last
    if not reached.any():
        return 0.0
    first = int(reached.argmax())
    return float(found[first] / (first + 1))


@one_thread()
def _latency(found: Found, predictor: QualityPredictor, good: Sequence[Candidate], config: EvaluationConfig) -> None:
    """Milliseconds of wall time for one listing with improvements, on one thread, as a worker that serves has it."""
    milliseconds = []
    for call in range(config.latency_calls):
        candidate = good[call % len(good)]
        started = time.perf_counter()
        predictor.assess([candidate])
        milliseconds.append(1000 * (time.perf_counter() - started))
    timed = latency_metrics(milliseconds, config.bootstrap_samples)
    found.metrics |= {f"assess_p{q}_ms": timed[f"latency_p{q}_ms"] for q in (50, 95)}


def _told(predictor: QualityPredictor, tried: Sequence[Tried], good: Sequence[Candidate]) -> pd.DataFrame:
    """Whole assessments for the page: of some listings as they are, and of twins, one of each kind before a second of any."""
    some = good[: SHOWN // 2]
    rank = dict.fromkeys(PART, 0)
    ranked = list[tuple[int, int, Tried]]()
    for one in tried:
        kind = str(one.row["kind"])
        ranked.append((rank[kind], len(ranked), one))
        rank[kind] += 1
    twins = [one for _, _, one in sorted(ranked, key=lambda item: item[:2])[: SHOWN - len(some)]]
    asked = [*some, *(one.candidate for one in twins)]
    kinds = [*([GOOD] * len(some)), *(str(one.row["kind"]) for one in twins)]
    answers = predictor.assess(asked)
    rows = [
        {"product_id": str(candidate.product_id), "kind": kind, "told": trials.as_json(answer), **trials.shown(candidate)}
        for candidate, kind, answer in zip(asked, kinds, answers, strict=True)
    ]
    return pd.DataFrame(rows, columns=["product_id", "kind", "told", "title", "photo"])


def _shapes(predictor: QualityPredictor) -> pd.DataFrame:
    """The curve of each evidence, point by point: what it takes off the log odds of its axis."""
    rows = list[dict[str, object]]()
    for axis, model in predictor.fitted.learned.models.items():
        for name, knots, steps in zip(readers()[axis].names, model.knots, model.steps, strict=True):
            heights = np.concatenate([[0.0], np.cumsum(steps)]) - steps.sum()
            for x, y in zip(knots, heights, strict=True):
                rows.append(
                    {"key": f"shape {axis} {name} {len(rows)}", "kind": SHAPE, "axis": axis, "name": name, "x": x, "y": y}
                )
    return pd.DataFrame(rows)


def _slices(twins: pd.DataFrame, config: EvaluationConfig) -> tuple[SliceMetric, ...]:
    """By kind of fault and by department."""

    def mean(part: pd.DataFrame, column: str) -> Metric:
        return mean_interval(by_listing(part, column), config.bootstrap_samples)

    wanted = {"twin_order": partial(mean, column="order"), "fault_attribution": partial(mean, column="hit")}
    return slice_metrics(twins, ["kind", "master_category"], wanted, config.min_slice_rows)
