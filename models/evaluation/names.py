"""How a model's metrics read, and which of them a reviewer is told first."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.evaluation.comparison import Better
from models.evaluation.results import SliceMetric


@dataclass(frozen=True)
class Names:
    """How a model's metrics and slices read, in the order of the page.

    Attributes:
        metrics: Metric name to reading name and direction; no direction where versions are not judged by it.
        headline: Metrics from the most important one on: the first three that a version has are what is told first.
        peers: Metric to the metrics of the simple models that it is held against, the simplest first.
        does: Metric of a simple model to what its model answers, in a few words.
        slices: Slice name to reading name.
    """

    metrics: Mapping[str, tuple[str, Better | None]]
    headline: tuple[str, ...] = ()
    peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    does: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, str] = field(default_factory=dict)

    def label(self, metric: str) -> str:
        """Reading name; the name itself for a metric that has none."""
        return self.metrics.get(metric, (metric, None))[0]

    def better(self, metric: str) -> Better | None:
        """Direction of the metric, if it has one."""
        return self.metrics.get(metric, (metric, None))[1]

    def slice(self, part: SliceMetric) -> str:
        """Reading name of a slice, such as "Price: under 500"."""
        return f"{self.slices.get(part.slice, part.slice.replace('_', ' ').capitalize())}: {part.value}"

    def is_peer(self, metric: str) -> bool:
        """Whether the metric is a simple model's, not the version's."""
        return any(metric in peers for peers in self.peers.values())
