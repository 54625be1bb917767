"""The sections of an evaluation report that do not depend on the model: verdict, gates, metrics, slices, what to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.evaluation import charts, first_screen, page
from models.evaluation.comparison import Reading, independent_difference, reading
from models.evaluation.gates import GateDecision, State, difference_of
from models.evaluation.names import Names
from models.evaluation.page import Badge, Beside, KeyFigure, Panel, Section, Tone, Verdict
from models.evaluation.results import Evaluation, Metric, SliceMetric
from models.evaluation.verdict import Headline, figure, headline, left_out, value_of

FAILED_SHOWN = 3
"""Reasons of a refusal that stand on top; the gates below have all."""
TONES: dict[Reading | None, Tone] = {"better": "good", "worse": "bad"}


def verdict(told: Headline, panels: Sequence[Panel], worse: bool) -> Verdict:
    """May it ship; `worse` says whether it is clearly worse than the champion on anything."""
    figures = [KeyFigure(f.label, value_of(f.metric), _range(f.metric), tuple(f.against())) for f in told.figures]
    if told.tone == "good" and worse:
        return Verdict(f"{told.verdict}, but it is worse in places", "warn", (), figures, panels)
    more = len(told.failed) - FAILED_SHOWN
    failed = told.failed if more <= 0 else (*told.failed[:FAILED_SHOWN], f"and {more} more, below")
    return Verdict(told.verdict, told.tone, failed, figures, panels)


def gates(decision: GateDecision) -> Section:
    """Every check with what it was held against, and its state; the failed ones first, those that do not apply last."""
    order: dict[State, tuple[Badge, Tone | None]] = {
        "failed": (Badge("failed", "bad"), "bad"),
        "passed": (Badge("passed", "good"), None),
        "not applicable": (Badge("not applicable"), None),
    }
    rows, tones = [], []
    for state, (badge, tone) in order.items():
        for check in decision.of(state):
            rows.append(
                {"Gate": check.name, "Verdict": badge, "Value": check.value, "Held against": check.bound, "How": check.detail}
            )
            tones.append(tone)
    table = page.table(rows, {"Value": ".4g", "Held against": ".4g"}, tones=tones, empty=" ".join(decision.failures()))
    intro = (
        "A version becomes challenger only if every gate that applies passes. A metric that is missing fails; what the "
        "catalogue has no labels for is no task of the version, and its gates do not apply."
    )
    return Section("Gates", intro, [table])


def differences_of(evaluation: Evaluation, champion: Evaluation, paired: Mapping[str, Metric], names: Names) -> dict[str, Metric]:
    """Challenger minus champion for every metric that both have: the `paired` ones where given, else by their intervals."""
    new, old = evaluation.metrics, champion.metrics
    found = {n: independent_difference(new[n], old[n]) for n in new if n in old and not names.is_peer(n)}
    return found | {n: metric for n, metric in paired.items() if n in found and metric.value is not None}


def metrics(
    evaluation: Evaluation, champion: Evaluation | None, differences: Mapping[str, Metric] | None, names: Names
) -> Section:
    """Every metric with its interval, and against the champion."""
    rows: list[dict[str, Any]] = []
    tones: list[Tone | None] = []
    there = [n for n in evaluation.metrics if n not in evaluation.not_applicable]
    shown = [n for n in names.metrics if n in there] + [n for n in there if n not in names.metrics and not names.is_peer(n)]
    for name in shown:
        metric = evaluation.metrics[name]
        row: dict[str, Any] = {"Metric": names.label(name), "Value": metric.value, "95 % interval": _range(metric)}
        word = None
        if champion and differences is not None:
            difference = differences.get(name, Metric(value=None))
            word = reading(difference, names.better(name))
            row |= {
                "Champion": champion.metrics[name].value if name in champion.metrics else None,
                "Difference": difference.value,
                "its 95 % interval": _range(difference, "+"),
                "Reading": Badge(word, TONES[word]) if word is not None and word in TONES else word,
            }
        rows.append(row)
        tones.append("bad" if word == "worse" else None)
    intro = "The intervals are 95 % bootstrap intervals over the rows."
    if champion:
        intro += " Differences come from the rows that both were measured on; they are clear where their interval leaves out 0."
    formats: dict[str, page.Format] = dict.fromkeys(("Value", "Champion"), figure)
    table = page.table(rows, formats | {"Difference": signed}, tones=tones)
    absent = list(left_out(evaluation, names))
    line = [page.text(f"Left out, as there is no such task: {'; '.join(absent)}.")] if absent else []
    return Section("Is it better?", intro, [table, *line])


def beside_simple_models(evaluation: Evaluation, names: Names) -> list[Section]:
    """The version beside each simple model on the same rows; no section where there is none."""
    rows, tones = [], []
    for name, peers in names.peers.items():
        value = evaluation.metrics.get(name, Metric(value=None)).value
        for peer in peers:
            theirs = evaluation.metrics.get(peer, Metric(value=None)).value
            if value is None or theirs is None or name in evaluation.not_applicable:
                continue
            difference = difference_of(evaluation, name, peer)
            word = reading(difference, names.better(name))
            row = {"Metric": names.label(name), "Version": value, "Simple model": names.does.get(peer, peer), "Reaches": theirs}
            row |= {"Difference": difference.value, "its 95 % interval": _range(difference, "+")}
            rows.append(row | {"Reading": Badge(word, TONES[word]) if word is not None and word in TONES else word})
            tones.append(TONES[word] if word == "worse" else None)
    intro = "All were fitted on the training rows of the version. A version that is no better is not worth what it costs."
    formats: dict[str, page.Format] = {"Version": figure, "Reaches": figure, "Difference": signed}
    return [Section("Is it worth a model?", intro, [page.table(rows, formats, tones=tones)])] if rows else []


def worse_slices(evaluation: Evaluation, champion: Evaluation, names: Names) -> list[SliceMetric]:
    """Slices on which the version is clearly worse than the champion, with the difference as their result."""
    old = {(s.slice, s.value, s.metric): s.result for s in champion.slices}
    found = []
    for part in evaluation.slices:
        difference = independent_difference(part.result, old.get((part.slice, part.value, part.metric), Metric(value=None)))
        if reading(difference, names.better(part.metric)) == "worse":
            found.append(part.model_copy(update={"result": difference}))
    return found


def slices(evaluation: Evaluation, champion: Evaluation | None, names: Names) -> Section:
    """Each metric by slice, charted and listed; what lags behind the overall value or the champion is marked."""
    title = "Where is it worse?"
    told = _telling(evaluation)
    measured = list(dict.fromkeys(s.metric for s in told))
    if not measured:
        return Section(title, "", [page.text("There is no slice: every part has too few rows, or all of them.")])
    current = {(s.slice, s.value, s.metric): s.result for s in champion.slices} if champion else {}
    pictures, tables = [], []
    for metric in measured:
        parts = [s for s in told if s.metric == metric]
        overall = evaluation.metrics.get(metric)
        old = [current.get((s.slice, s.value, metric)) for s in parts]
        drawing = charts.dots(
            [names.slice(s) for s in parts],
            [s.result for s in parts],
            old,
            overall.value if overall else None,
            names.label(metric),
        )
        pictures.append(page.figure(drawing, f"{names.label(metric)} by slice"))
        tables.append(_slice_table(parts, old, overall, names, compared=champion is not None))
    intro = (
        "Red: clearly worse than the champion on the same slice. Orange: clearly worse than this version's own overall value. "
        "Of many slices, about one in twenty is marked by chance."
    )
    return Section(title, intro, [page.columns(*pictures), *tables])


def _telling(evaluation: Evaluation) -> list[SliceMetric]:
    """The slices of tasks that there are, but for columns whose one part is all that was measured."""
    there = [s for s in evaluation.slices if s.metric not in evaluation.not_applicable]
    parts = Counter((s.slice, s.metric) for s in there)
    whole = {name: metric.n for name, metric in evaluation.metrics.items()}
    return [s for s in there if parts[s.slice, s.metric] > 1 or s.result.n != whole.get(s.metric)]


def what_to_do(evaluation: Evaluation, decision: GateDecision) -> Section:
    """The commands that follow from the decision."""
    if not decision.passed:
        return Section(
            "What to do",
            "It was refused, so it is not challenger and cannot be promoted. Mend what the gates name, then train again.",
            [page.commands([f"vitrina train {evaluation.model} --data DIR", f"vitrina history {evaluation.model}"])],
        )
    lines = [
        f'vitrina promote {evaluation.model} {evaluation.version or "VERSION"} --reviewer YOUR_NAME --note "why"',
        f"vitrina rollback {evaluation.model}   # the way back",
        f"vitrina history {evaluation.model}",
    ]
    intro = "Promote by this command, or by moving the alias champion in the MLflow UI; the service follows without a restart."
    if evaluation.version is None:
        intro += " VERSION is the number that MLflow gave it: the one with the alias challenger."
    return Section("What to do", intro, [page.commands(lines)])


def what_was_measured(evaluation: Evaluation, champion: Evaluation | None) -> Section:
    """Model, version, rows and data behind the page."""
    facts: dict[str, Any] = {
        "Model": evaluation.model,
        "Version": evaluation.version or "not registered yet",
        "Rows measured": f"{evaluation.n:,} ({evaluation.split})",
        "Champion": f"version {champion.version or 'unknown'}, {champion.n:,} rows" if champion else "none",
        "Catalogue": evaluation.data,
    }
    return Section("What was measured", "", [page.facts(facts)])


def write(
    out: Path,
    evaluation: Evaluation,
    champion: Evaluation | None,
    decision: GateDecision,
    differences: Mapping[str, Metric] | None,
    parts: Sequence[Section],
    names: Names,
    rows: str,
    *,
    examples: Sequence[Beside] = (),
    risks: Sequence[str] = (),
    playground: str | None = None,
) -> Headline:
    """Write the page to the file `out`: the verdict, then `parts`, then what to do.

    Args:
        differences: Of `differences_of`; None without a champion.
        rows: What was measured, in plural.
        examples: What both say of the same.
        risks: What the model's own predictions tell of risk, a line each.
        playground: Address of the service whose page lets challenger and champion be tried; None where it is not known.

    Returns what the page says first.
    """
    title = f"Evaluation of {evaluation.model} {f'version {evaluation.version}' if evaluation.version else 'candidate'}"
    worse = worse_slices(evaluation, champion, names) if champion else []
    first = headline(evaluation, champion, decision, names, differences)
    panels = first_screen.panels(evaluation, champion, differences, worse, first, risks, names)
    readings = (reading(difference, names.better(name)) for name, difference in (differences or {}).items())
    told = replace(
        verdict(first, panels, bool(worse) or "worse" in readings),
        beside=examples,
        link=first_screen.link(evaluation.model, champion is not None, decision.passed, playground),
    )
    subtitle = f"{evaluation.n:,} {evaluation.split} {rows} of catalogue {evaluation.data[:12]}"
    last = [what_to_do(evaluation, decision), what_was_measured(evaluation, champion)]
    page.write_page(out, page.render_page(title, subtitle, told, [*parts, *last]))
    return first


def signed(value: float) -> str:
    """`figure` with its sign."""
    return figure(value, "+")


def _slice_table(
    parts: Sequence[SliceMetric], champion: Sequence[Metric | None], overall: Metric | None, names: Names, *, compared: bool
) -> page.Block:
    """One metric's slices; `compared` adds the champion's columns."""
    rows: list[dict[str, Any]] = []
    tones: list[Tone | None] = []
    label, better = names.label(parts[0].metric), names.better(parts[0].metric)
    for part, old in zip(parts, champion, strict=True):
        row: dict[str, Any] = {"Slice": names.slice(part), "Rows": part.result.n, label: part.result.value}
        row["95 % interval"] = _range(part.result)
        difference = independent_difference(part.result, old) if old else Metric(value=None)
        lagging = overall is not None and reading(independent_difference(part.result, overall), better) == "worse"
        worse = reading(difference, better) == "worse"
        if compared:
            row |= {"Champion": old.value if old else None, "Difference": difference.value}
        remark = Badge("worse than champion", "bad") if worse else Badge("worse than overall", "warn") if lagging else ""
        rows.append(row | {"": remark})
        tones.append("bad" if worse else "warn" if lagging else None)
    return page.table(rows, {label: figure, "Champion": figure, "Difference": signed}, tones=tones)


def _range(metric: Metric, sign: str = "") -> str | None:
    if metric.low is None or metric.high is None:
        return None
    return f"{figure(metric.low, sign)} to {figure(metric.high, sign)}"
