"""What a reviewer sees without scrolling: better, worse, riskier, what changed in the data, and where to try it."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from catalog.profile import changes
from catalog.profile import told as told_of_data
from models.evaluation.comparison import Reading, reading
from models.evaluation.gates import difference_of
from models.evaluation.names import Names
from models.evaluation.page import Panel, Tone
from models.evaluation.results import Evaluation, Metric, SliceMetric
from models.evaluation.verdict import Headline, figure

FEW_ROWS = 200
"""Fewer rows that were measured are a risk of their own: an accuracy of 0.9 is then known to within 0.04 at best."""
_NONE = Metric(value=None)

Line = tuple[str, Tone | None]


def panels(
    evaluation: Evaluation,
    champion: Evaluation | None,
    differences: Mapping[str, Metric] | None,
    worse_slices: Sequence[SliceMetric],
    told: Headline,
    risks: Sequence[str],
    names: Names,
) -> list[Panel]:
    """Better, worse, riskier, and what changed in the data; against simple models while there is no champion."""
    if champion is None or differences is None:
        better, worse = _against_peers(evaluation, names)
        empty = "Than none of them, clearly." if any(name in evaluation.metrics for name in names.does) else "None was measured."
        first = [
            Panel("Better than simple models", better, empty),
            Panel("Worse than simple models", worse, empty),
        ]
    else:
        read = {name: reading(difference, names.better(name)) for name, difference in differences.items()}
        lines = {word: list(_moved(evaluation, champion, read, word, names)) for word in ("better", "worse")}
        slices = [_slice(part, names) for part in worse_slices]
        first = [
            Panel("Better than the champion", [(line, "good") for line in lines["better"]], "On nothing, clearly."),
            Panel("Worse than the champion", [(line, "bad") for line in (*lines["worse"], *slices)], "On nothing, clearly."),
        ]
    risky = list(_risks(evaluation, champion, differences, told, risks, names))
    return [*first, Panel("Riskier", risky, "Nothing that is measured says so."), _data(evaluation, champion)]


def link(model: str, compared: bool, challenger: bool, playground: str | None) -> tuple[str, str] | None:
    """Where challenger and champion can be tried; None where nobody says where, or the version is no challenger."""
    if playground is None or not challenger:
        return None
    what = "Open the playground on challenger against champion" if compared else "Open the playground on the challenger"
    return f"{playground.rstrip('/')}/playground?{urlencode({'tab': 'versions', 'model': model})}", what


def _moved(
    evaluation: Evaluation, champion: Evaluation, read: Mapping[str, Reading | None], word: Reading, names: Names
) -> Iterator[str]:
    """Metrics that read so, those that are told first in front."""
    order = [name for name in (*names.headline, *names.metrics, *read) if read.get(name) == word]
    for name in dict.fromkeys(order):
        values = (champion.metrics[name].value, evaluation.metrics[name].value)
        yield f"{names.label(name)} {' → '.join('–' if value is None else figure(value) for value in values)}"


def _slice(part: SliceMetric, names: Names) -> str:
    change = "" if part.result.value is None else f" {figure(part.result.value, '+')}"
    return f"{names.slice(part)}: {names.label(part.metric)}{change}"


def _against_peers(evaluation: Evaluation, names: Names) -> tuple[list[Line], list[Line]]:
    """What is clearly better, and clearly worse, than what a simple model reaches on the same rows."""
    found: dict[Reading | None, list[Line]] = {"better": [], "worse": []}
    for name in dict.fromkeys([*(name for name in names.headline if name in names.peers), *names.peers]):
        peers, metric = names.peers[name], evaluation.metrics.get(name, _NONE)
        for peer in peers:
            theirs = evaluation.metrics.get(peer, _NONE)
            if metric.value is None or theirs.value is None or name in evaluation.not_applicable:
                continue
            word = reading(difference_of(evaluation, name, peer), names.better(name))
            line = f"{names.label(name)} {figure(metric.value)}, {names.does.get(peer, peer)} {figure(theirs.value)}"
            found.setdefault(word, []).append((line, "good" if word == "better" else "bad"))
    return found["better"], found["worse"]


def _risks(
    evaluation: Evaluation,
    champion: Evaluation | None,
    differences: Mapping[str, Metric] | None,
    told: Headline,
    risks: Sequence[str],
    names: Names,
) -> Iterator[Line]:
    for task in told.lost:
        yield f"has no task that the champion has: {task}", "bad"
    if champion is not None and champion.known:
        rows = "1 of the test rows" if champion.known == 1 else f"{champion.known:,} of the test rows"
        yield f"the champion was fitted on {rows}: where it is better, it may remember them", "warn"
    for line in risks:
        yield line, "warn"
    for name, difference in (differences or {}).items():
        if name not in names.headline or difference.value is None or reading(difference, names.better(name)) != "unclear":
            continue
        if (difference.value < 0) == (names.better(name) == "higher") and difference.value:
            yield f"may be worse, not clearly: {names.label(name)} {figure(difference.value, '+')}", "warn"
    if evaluation.n < FEW_ROWS:
        yield f"measured on {evaluation.n:,} rows alone", "warn"
    if champion is None:
        yield "no champion to compare with: all of it is new to clients", "warn"
    for reason in told.left_out:
        yield f"not judged: {reason}", None


def _data(evaluation: Evaluation, champion: Evaluation | None) -> Panel:
    now, before = evaluation.profile, champion.profile if champion else None
    if now is None:
        return Panel("The data", [], "Nobody noted down what it is like.")
    if champion is None:
        return Panel("The data", [(line, None) for line in told_of_data(now)], "It has no table that is looked at.")
    title = "What changed in the data"
    if before is None:
        return Panel(title, [], "Not known: nobody noted down what the champion was trained on.")
    if now.fingerprint == before.fingerprint:
        return Panel(title, [], "Nothing: it is the data that the champion was trained on.")
    moved = sorted(changes(now, before), key=lambda change: not change[1])
    return Panel(title, [(line, "warn" if grave else None) for line, grave in moved], "Nothing that is looked at.")
