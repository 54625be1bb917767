"""The drift report: our own page with the verdict, and Evidently's beside it."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from models.evaluation import plots
from models.evaluation.page import (
    Badge,
    Block,
    Format,
    Section,
    Verdict,
    columns,
    commands,
    facts,
    figure,
    render_page,
    table,
    text,
    write_page,
)
from monitoring.drift import comparable, evidently_snapshot
from monitoring.verdict import ColumnDrift, DriftVerdict, ReferenceSpec
from monitoring.window import Window

PAGE, EVIDENTLY = "drift.html", "evidently.html"
_FIGURES = 12
_BARS = 12
_BINS = 24
_LABEL_LENGTH = 24


def write_report(
    folder: Path, model: str, version: int, reference: pd.DataFrame, window: Window, spec: ReferenceSpec, verdict: DriftVerdict
) -> Path:
    """Write `drift.html`, and `evidently.html` where there were enough rows, into `folder`; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    if verdict.enough_rows:
        _write_evidently(folder / EVIDENTLY, reference, window.frame, spec)
    counted = f"{window.rows:,} predictions ({verdict.n_current:,} distinct)"
    subtitle = f"{model} version {version} · {counted} · {_span(window)}"
    sections = _sections(reference, window.frame, verdict) if verdict.enough_rows else []
    sections.append(Section("What to do next", "", [_next_steps(model, verdict)]))
    return write_page(folder / PAGE, render_page("Drift", subtitle, _verdict(verdict), sections))


def _verdict(verdict: DriftVerdict) -> Verdict:
    if not verdict.enough_rows:
        return Verdict("Not enough data for a verdict", "warn", verdict.reasons)
    if verdict.drifted:
        lines = (*verdict.reasons, *verdict.notes)
        return Verdict("Drift: what is served no longer looks like what was trained on", "bad", lines)
    tests = sum(c.p_value is not None for c in verdict.columns)
    calm = f"{tests} tests, none significant at {verdict.alpha:g} after correction with an effect that matters"
    return Verdict("No drift", "good", [calm, *verdict.notes])


def _sections(reference: pd.DataFrame, current: pd.DataFrame, verdict: DriftVerdict) -> list[Section]:
    intro = (
        f"A column has drifted when its adjusted p is at most {verdict.alpha:g} and its effect at least {verdict.min_effect:g}. "
        "Adjusted p-values hold for all tests of this page together. “Small” is significant, and too small to matter."
    )
    drifted = [c for c in _by_effect(verdict.columns) if c.drifted]
    shown = [_plot(c, reference, current) for c in drifted if c.kind in ("numerical", "categorical")][:_FIGURES]
    pairs = [columns(*shown[i : i + 2]) for i in range(0, len(shown), 2)]
    sections = [Section("Columns", intro, [_columns(verdict)])]
    if pairs:
        sections.append(Section("What has changed", "Shares of rows in the reference and in the window.", pairs))
    told = "Error rates where clients told what was true; a list is wrong where it lacks the truth."
    sections.append(Section("Performance", told, [_performance(verdict)]))
    sections.append(
        Section(
            "Samples",
            "",
            [
                facts({"reference rows": verdict.n_reference, "window rows": verdict.n_current}),
                Block(Markup('<p><a href="{}">Evidently\'s own report</a> on the single columns</p>').format(EVIDENTLY)),
            ],
        )
    )
    return sections


def _columns(verdict: DriftVerdict) -> Block:
    rows = [
        {
            "column": c.column,
            "what": c.kind,
            "": _outcome(c, verdict.alpha),
            "change": c.change,
            "effect": c.effect,
            "adjusted p": c.adjusted_p,
            "test": f"{c.test}; effect: {c.measure}" if c.measure else c.test,
        }
        for c in _by_effect(verdict.columns)
    ]
    return table(rows, {"effect": ".3f", "adjusted p": _p})


def _outcome(column: ColumnDrift, alpha: float) -> Badge:
    if column.drifted:
        return Badge("drift", "bad")
    if column.adjusted_p is None:
        return Badge("not compared")
    return Badge("small", "warn") if column.adjusted_p <= alpha else Badge("same")


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else "< 1e-6"


def _performance(verdict: DriftVerdict) -> Block:
    rows = [
        {
            "prediction": p.prediction,
            "": Badge("worse", "bad") if p.drifted else Badge("not compared" if p.p_value is None else "no worse", "plain"),
            "error in reference": p.reference_error,
            "error in window": p.current_error,
            "answers with feedback": p.n_current,
            "adjusted p": p.adjusted_p,
            "note": p.note,
        }
        for p in verdict.performance
    ]
    formats: dict[str, Format] = {"error in reference": ".1%", "error in window": ".1%", "adjusted p": _p}
    return table(rows, formats, empty="The model has no prediction that feedback could confirm.")


def _next_steps(model: str, verdict: DriftVerdict) -> Block:
    if verdict.drifted:
        return commands(
            [
                "vitrina data validate NEW_DELIVERY",
                f"vitrina monitor --model {model} --retrain --data NEW_DELIVERY",
                f"vitrina promote {model} VERSION --reviewer WHO",
            ]
        )
    if not verdict.enough_rows:
        return text("Nothing: run monitoring again when more predictions have been served.")
    return text("Nothing: the model in production sees what it was trained for.")


def _plot(column: ColumnDrift, reference: pd.DataFrame, current: pd.DataFrame) -> Block:
    samples = reference[column.column].dropna(), current[column.column].dropna()
    draw = _histogram if column.kind == "numerical" else _bars
    alt = f"Distribution of {column.column} in reference and window"
    return figure(draw(column.column, *samples), alt, f"{column.column}: {column.measure} {column.effect:.2f}")


def _histogram(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> str:
    first, second = (values.to_numpy(dtype=np.float64) for values in (reference, current))
    low, high = np.quantile(np.concatenate([first, second]), [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    drawing, plot = plots.axes(4.6, 2.6, x=_label(name), y="share of rows")
    for values, colour, label in ((first, plots.ACCENT, "reference"), (second, plots.SECOND, "window")):
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        plot.stairs(counts / max(len(values), 1), edges, color=colour, fill=True, alpha=0.35)
        plot.stairs(counts / max(len(values), 1), edges, color=colour, label=label, linewidth=1.5)
    plots.legend(plot)
    return plots.svg(drawing)


def _bars(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> str:
    """The values whose shares changed most."""
    shares = pd.DataFrame({k: v.astype(str).value_counts(normalize=True) for k, v in (("a", reference), ("b", current))}).fillna(
        0.0
    )
    order = (shares["a"] - shares["b"]).abs().nlargest(_BARS).index[::-1]
    shown = shares.loc[order]
    drawing, plot = plots.axes(4.6, 0.9 + 0.28 * len(shown), x="share of rows")
    places = np.arange(len(shown))
    plot.barh(places + 0.2, shown["a"], height=0.38, color=plots.ACCENT, label="reference")
    plot.barh(places - 0.2, shown["b"], height=0.38, color=plots.SECOND, label="window")
    plot.set_yticks(places, [_label(value) for value in shown.index])
    plots.legend(plot)
    return plots.svg(drawing)


def _label(value: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    short = value if len(value) <= _LABEL_LENGTH else value[: _LABEL_LENGTH - 1] + "…"
    return short.replace("$", r"\$")


def _by_effect(tested: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    return sorted(tested, key=lambda c: (not c.drifted, -(c.effect or 0.0)))


def _span(window: Window) -> str:
    if window.start is None or window.end is None:
        return "none yet"
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def _write_evidently(path: Path, reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec) -> None:
    kinds = comparable(reference, current, spec)
    if not kinds.keys() & {*spec.numerical, *spec.categorical}:
        return
    snapshot = evidently_snapshot(reference, current, kinds)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        snapshot.save_html(temporary)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
