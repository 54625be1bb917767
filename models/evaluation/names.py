"""How a model's metrics read, and which of them a reviewer is told first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from models.evaluation.comparison import Better
from models.evaluation.results import SliceMetric


@dataclass(frozen=True)
class Names:
    """How a model's metrics and slices read, in the order of the page.

    Attributes:
        metrics: Metric name to reading name and direction; no direction where versions are not judged by it.
        headline: Metrics from the most important one on: the first three that a version has are what is told first.
        baselines: Metric to the metric that says what a model that looks at nothing reaches.
        without: What the model of the baselines does.
        simple: Metric to the metric that says what a simple model reaches.
        simply: What the simple models are.
        does: Metric of a baseline to what its model answers, in a few words.
        slices: Slice name to reading name.
    """

    metrics: Mapping[str, tuple[str, Better | None]]
    headline: tuple[str, ...] = ()
    baselines: Mapping[str, str] = field(default_factory=dict)
    without: str = "always the most frequent answer, or the median"
    simple: Mapping[str, str] = field(default_factory=dict)
    simply: str = ""
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

    def peers(self, metric: str) -> Iterator[tuple[str, str]]:
        """What the metric is held against: in words, and the metric of it."""
        for peer in (self.baselines.get(metric), self.simple.get(metric)):
            if peer is not None:
                yield self.does.get(peer, peer), peer

    def is_peer(self, metric: str) -> bool:
        """Whether the metric is a baseline's, not the version's."""
        return metric in self.baselines.values() or metric in self.simple.values()
