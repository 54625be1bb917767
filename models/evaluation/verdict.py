"""The answer before all details: may it ship, the three figures that matter, and what failed.

The report shows it on its first screen, and the registry in the first lines of a version's page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.evaluation.comparison import Reading, independent_difference, reading
from models.evaluation.gates import GateDecision
from models.evaluation.names import Names
from models.evaluation.page import Tone
from models.evaluation.results import Evaluation, Metric

FIGURES = 3
UNMEASURED = Metric(value=None)


@dataclass(frozen=True)
class Figure:
    """One metric beside what it must be judged by.

    Attributes:
        label: Reading name of the metric, with its direction where lower is better.
        metric: Its value and 95 % interval.
        champion: The champion's value on the same rows; None without a champion, or where it has no such value.
        change: What the difference from the champion means; None where that cannot be said.
        peers: What simple models reach on the same rows: what each does, and its value.
    """

    label: str
    metric: Metric
    champion: float | None
    change: Reading | None
    peers: tuple[tuple[str, float], ...]

    def against(self) -> Iterator[str]:
        """What it is held against, a phrase each."""
        if self.champion is not None:
            word = {"better": ": clearly better", "worse": ": clearly worse", "unclear": ": no clear difference", None: ""}
            yield f"champion {figure(self.champion)}{word[self.change]}"
        for what, value in self.peers:
            yield f"{what} {figure(value)}"


@dataclass(frozen=True)
class Headline:
    """What a reviewer reads first.

    Attributes:
        verdict: One sentence: may it be promoted.
        tone: How it is coloured.
        figures: At most three.
        failed: One line for each reason why it may not.
        left_out: One line for each reason why tasks are not judged, with their reading names.
        lost: Reading names of what the champion has a task for, and this version has not.
    """

    verdict: str
    tone: Tone
    figures: tuple[Figure, ...]
    failed: tuple[str, ...]
    left_out: tuple[str, ...]
    lost: tuple[str, ...] = ()

    def markdown(self) -> list[str]:
        """Paragraphs and lists, a line each; empty lines between them."""
        lines = [f"**{self.verdict}.**", ""]
        for told in self.figures:
            against = "; ".join(told.against())
            lines.append(f"- {told.label} **{value_of(told.metric)}**{f' ({against})' if against else ''}")
        if self.lost:
            lines += ["", f"The champion has tasks that this version lacks: {', '.join(self.lost)}."]
        for title, items in (("Why not", self.failed), ("Not applicable", self.left_out)):
            lines += ["", f"{title}:", "", *(f"- {item}" for item in items)] if items else []
        return lines


def headline(
    evaluation: Evaluation,
    champion: Evaluation | None,
    decision: GateDecision,
    names: Names,
    differences: Mapping[str, Metric] | None = None,
) -> Headline:
    """What to tell first of an evaluation.

    `champion` is its evaluation of the same rows. `differences` are challenger minus champion by metric where they were taken
    row by row; else they come from the two intervals, which says less often that a difference is clear.
    """
    told = (_figure(name, evaluation, champion, names, differences or {}) for name in _first(evaluation, decision, names))
    text, tone = verdict_of(decision)
    lost = _lost(evaluation, champion, names)
    if lost and tone == "good":
        text, tone = f"{text}, but the champion has tasks that it lacks", "warn"
    return Headline(text, tone, tuple(told), tuple(decision.failures()), tuple(left_out(evaluation, names)), lost)


def verdict_of(decision: GateDecision) -> tuple[str, Tone]:
    """May it be promoted: the sentence, and its tone."""
    failed, passed, absent = (len(decision.of(state)) for state in ("failed", "passed", "not applicable"))
    besides = f" ({absent} not applicable)" if absent else ""
    if not decision.checks:
        return "Do not ship: no gate was checked", "bad"
    if not failed and not passed:
        return f"Do not ship: none of its {absent} gates is applicable", "bad"
    if not decision.passed and not failed:
        return f"Do not ship: only its latency was checked{besides}", "bad"
    if not decision.passed:
        return f"Do not ship: {failed} of {failed + passed} gates failed{besides}", "bad"
    return f"May be promoted: {'its only gate' if passed == 1 else f'all {passed} gates'} passed{besides}", "good"


def left_out(evaluation: Evaluation, names: Names) -> Iterator[str]:
    """Of each reason why metrics of the page are not applicable: which, and why."""
    reasons: dict[str, list[str]] = {}
    for metric in names.metrics:
        if why := evaluation.not_applicable.get(metric):
            reasons.setdefault(why, []).append(names.label(metric))
    for why, labels in reasons.items():
        yield f"{', '.join(labels)} ({why})"


def _lost(evaluation: Evaluation, champion: Evaluation | None, names: Names) -> tuple[str, ...]:
    """Reading names of the metrics that apply to the champion alone."""
    if champion is None:
        return ()
    alone = evaluation.not_applicable.keys() - champion.not_applicable.keys()
    return tuple(names.label(name) for name in names.metrics if name in alone)


def figure(value: float, sign: str = "") -> str:
    """Three decimals for shares and errors, one for larger figures such as milliseconds."""
    return f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign}.1f}"


def value_of(metric: Metric) -> str:
    """A metric's value as text."""
    return "not measured" if metric.value is None else figure(metric.value)


def _first(evaluation: Evaluation, decision: GateDecision, names: Names) -> list[str]:
    """The first three metrics of the headline that the version has, or that a gate misses."""
    missed = {check.metric for check in decision.of("failed")}
    has = {name for name, metric in evaluation.metrics.items() if metric.value is not None}
    here = [n for n in names.headline if n not in evaluation.not_applicable and (n in has or n in missed)]
    return here[:FIGURES]


def _figure(
    name: str, evaluation: Evaluation, champion: Evaluation | None, names: Names, differences: Mapping[str, Metric]
) -> Figure:
    metric = evaluation.metrics.get(name, UNMEASURED)
    old = champion.metrics.get(name, UNMEASURED) if champion else UNMEASURED
    reached = {peer: evaluation.metrics.get(peer, UNMEASURED).value for peer in names.peers.get(name, ())}
    return Figure(
        label=names.label(name) + (", lower is better" if names.better(name) == "lower" else ""),
        metric=metric,
        champion=old.value,
        change=reading(differences.get(name, independent_difference(metric, old)), names.better(name)),
        peers=tuple((names.does.get(peer, peer), value) for peer, value in reached.items() if value is not None),
    )
