"""What an evaluation says, in a form that survives JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import Field

from catalog.profile import Profile
from configs.schema import StrictModel


class Metric(StrictModel):
    """A point estimate with its 95 % bootstrap interval, over `n` rows; None where it could not be measured."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


class SliceMetric(StrictModel):
    """One metric on one slice, such as article_type_accuracy on price_band = 500–999."""

    slice: str = Field(description="name of the slicing column, such as master_category")
    value: str = Field(description="which part of it")
    metric: str
    result: Metric


class AgainstBaseline(StrictModel):
    """A metric minus a baseline's on the very same rows, with the interval of the difference."""

    metric: str = Field(description="metric of the version, such as article_type_accuracy")
    baseline: str = Field(description="metric of the baseline, such as majority_accuracy")
    difference: Metric


@dataclass(frozen=True)
class Measured:
    """What a family makes an `EvaluationRun` of.

    Attributes:
        predictions: A row for each row that was measured.
        against: The metrics that were compared with a baseline's row by row.
        not_applicable: Metric to the reason why the version has no such task; see `Evaluation`.
    """

    metrics: dict[str, Metric]
    slices: tuple[SliceMetric, ...]
    predictions: pd.DataFrame
    against: tuple[AgainstBaseline, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)


class Evaluation(StrictModel):
    """Metrics of one version on one set of rows."""

    model: str
    version: str | None = Field(None, description="registered version, where it has one yet")
    data: str = Field(description="fingerprint of the catalogue")
    split: str = Field(description="which rows: test, validation, unseen, all")
    n: int
    metrics: dict[str, Metric]
    slices: tuple[SliceMetric, ...] = ()
    against: tuple[AgainstBaseline, ...] = Field((), description="metrics compared row by row with a baseline's")
    not_applicable: dict[str, str] = Field(
        default_factory=dict, description="metric: why this version has no such task, decided from the data before training"
    )
    known: int | None = Field(
        None, description="how many of the test rows the version was fitted on or chosen by; None where nobody counted"
    )
    profile: Profile | None = Field(
        None, description="what the data was like that it was trained on; None where nobody noted that down"
    )

    def flat(self) -> dict[str, float | None]:
        """`NAME`, `NAME_low`, `NAME_high` for every metric, as `vitrina evaluate --json` prints them."""
        flat: dict[str, float | None] = {}
        for name, metric in self.metrics.items():
            flat |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        return flat

    def as_json(self) -> dict[str, Any]:
        """The one object that `vitrina evaluate --json` prints."""
        head = {"model": self.model, "version": self.version, "n": self.n, "data": self.data, "split": self.split}
        rows = {"slices": [s.model_dump() for s in self.slices], "against": [a.model_dump() for a in self.against]}
        return head | {"metrics": self.flat(), "not_applicable": self.not_applicable} | rows
