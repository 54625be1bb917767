"""What a study found, for people (a page) and for `vitrina train --config` (a YAML file)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from models.evaluation import page
from models.evaluation.page import Badge, Section, Tone, Verdict
from models.evaluation.plots import ACCENT, MUTED, SECOND, axes, legend, svg
from models.tuning.result import StudyResult, TrialResult
from models.tuning.space import changed, without_tuning

MOST_SHOWN = 6
TONES: dict[str, Tone] = {"completed": "good", "pruned": "warn", "failed": "bad"}


def write_best(study: StudyResult, values: Mapping[str, Any], out: Path) -> Path:
    """Write `values`, what the configuration said, with the best trial's parameters to the YAML file `out`, in one step."""
    assert study.best, "a study without a completed trial has no best"
    found = changed(without_tuning(values), study.best.params)
    head = f"# Best of study {study.name}: trial {study.best.number}, {study.metric} {study.best.value:.6g}"
    return page.write_page(out, f"{head}\n{yaml.safe_dump(found, sort_keys=False)}")


def write_report(study: StudyResult, out: Path) -> Path:
    """Write the page to the file `out`."""
    about = study.about
    rows = f"{about['rows']:,} training rows" if about["rows"] else "all training rows"
    subtitle = (
        f"{study.metric}, {study.direction}d over {about['epochs']} epochs a trial, {rows} of catalogue {about['data'][:12]}"
    )
    sections = [_course(study), _importances(study), _trials(study), _searched(study)]
    return page.write_page(out, page.render_page(f"Study {study.name}", subtitle, _verdict(study), sections))


def _verdict(study: StudyResult) -> Verdict:
    if study.best is None:
        return Verdict("No trial completed", "bad", [study.tally(), *sorted({t.why for t in study.trials if t.why})])
    params = ", ".join(f"{name} {_shown(value)}" for name, value in study.best.params.items())
    return Verdict(f"Best: trial {study.best.number}, {study.metric} {study.best.value:.4g}", "good", [params, study.tally()])


def _course(study: StudyResult) -> Section:
    """How the best value came about, and what each trial did epoch by epoch."""
    blocks = [
        page.columns(
            page.figure(_history(study), "value of each trial and the best so far", "Each trial, and the best so far."),
            page.figure(_curves(study), "the metric after each epoch of each trial", "Each trial's epochs; the best is thick."),
        )
    ]
    intro = (
        f"Better is {'higher' if study.direction == 'maximize' else 'lower'}. Pruned trials end early and have no final value."
    )
    return Section("How the search went", intro, blocks if any(t.values for t in study.trials) else [page.text(study.tally())])


def _history(study: StudyResult) -> str:
    figure, plot = axes(x="trial", y=_short(study.metric))
    completed, values = _completed(study)
    pruned = [t for t in study.trials if t.state == "pruned" and t.values]
    plot.scatter([t.number for t in completed], values, color=ACCENT, s=26, label="completed", zorder=3)
    if pruned:
        last = [t.values[max(t.values)] for t in pruned]
        plot.scatter([t.number for t in pruned], last, color=MUTED, marker="x", s=26, label="pruned, last epoch", zorder=3)
    if completed:
        best = np.maximum if study.direction == "maximize" else np.minimum
        course = best.accumulate(np.array(values))
        plot.step([t.number for t in completed], course, where="post", color=SECOND, linewidth=1.6, label="best so far")
    plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(plot)
    return svg(figure)


def _curves(study: StudyResult) -> str:
    figure, plot = axes(x="epoch", y=_short(study.metric))
    for trial in study.trials:
        best = study.best is not None and trial.number == study.best.number
        colour = SECOND if best else MUTED if trial.state == "pruned" else ACCENT
        epochs = sorted(trial.values)
        plot.plot(
            epochs,
            [trial.values[epoch] for epoch in epochs],
            color=colour,
            linewidth=2.4 if best else 1,
            alpha=1.0 if best else 0.5,
            marker="o",
            markersize=4 if best else 2.5,
            zorder=4 if best else 2,
        )
    plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure)


def _importances(study: StudyResult) -> Section:
    if not study.importances:
        return Section("What matters", "", [page.text("Importances need two completed trials.")])
    names = sorted(study.importances, key=study.importances.__getitem__)
    figure, plot = axes(5.2, 0.9 + 0.32 * len(names), x="share of the spread")
    plot.barh(names, [study.importances[name] for name in names], color=ACCENT, height=0.6)
    plot.grid(False, axis="y")
    intro = "How much of the completed trials' spread each parameter explains (PED-ANOVA); few trials make it a rough guess."
    shown = names[::-1][:MOST_SHOWN]
    slices = [page.figure(_slice(study, name), f"value by {name}") for name in shown]
    pairs = [page.columns(*slices[i : i + 2]) for i in range(0, len(slices), 2)]
    return Section("What matters", intro, [page.figure(svg(figure), "importance of each parameter"), *pairs])


def _slice(study: StudyResult, name: str) -> str:
    """Value against one parameter."""
    figure, plot = axes(5.2, 2.6, x=name, y=_short(study.metric))
    dimension = study.about["space"][name]
    completed, values = _completed(study)
    if dimension["choices"] is not None:
        choices = [_shown(choice) for choice in dimension["choices"]]
        x: Sequence[Any] = [choices.index(_shown(t.params[name])) for t in completed]
        plot.set_xticks(range(len(choices)), choices, parse_math=False)
        plot.set_xlim(-0.5, len(choices) - 0.5)
    else:
        x = [t.params[name] for t in completed]
        if dimension["log"]:
            plot.set_xscale("log")
            plot.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            plot.xaxis.set_minor_formatter(NullFormatter())
    best = [study.best is not None and t.number == study.best.number for t in completed]
    plot.scatter(x, values, color=[SECOND if b else ACCENT for b in best], s=[60 if b else 26 for b in best], zorder=3)
    return svg(figure)


def _completed(study: StudyResult) -> tuple[list[TrialResult], list[float]]:
    """Completed trials, and their values."""
    pairs = [(trial, trial.value) for trial in study.trials if trial.value is not None]
    return [trial for trial, _ in pairs], [value for _, value in pairs]


def _trials(study: StudyResult) -> Section:
    sign = -1 if study.direction == "maximize" else 1
    ordered = sorted(study.trials, key=lambda t: (t.value is None, sign * (t.value or 0.0), t.number))
    blocks = [page.table([_row(study, trial) for trial in ordered], {_short(study.metric): ".4g", "Minutes": ".1f"})]
    if any(trial.why for trial in ordered):
        reasons = [{"Trial": trial.number, "Why": trial.why} for trial in study.trials if trial.why]
        blocks.append(page.table(reasons, caption="Combinations that could not be trained"))
    return Section("Every trial", "The best first.", blocks)


def _row(study: StudyResult, trial: TrialResult) -> dict[str, Any]:
    minutes = (trial.ended_ms - trial.started_ms) / 60_000 if trial.ended_ms and trial.started_ms else None
    params = {path: _shown(trial.params[path]) if path in trial.params else None for path in study.about["space"]}
    leaves = Counter(map(_short, params))
    return {
        "Trial": trial.number,
        "State": Badge(trial.state, TONES.get(trial.state, "plain")),
        _short(study.metric): trial.value,
        "Epochs": len(trial.values),
        "Minutes": minutes,
        **{_short(path) if leaves[_short(path)] == 1 else path: value for path, value in params.items()},
    }


def _searched(study: StudyResult) -> Section:
    rows = [
        {
            "Parameter": name,
            "From": dimension["low"],
            "To": dimension["high"],
            "Scale": None if dimension["choices"] is not None else "logarithmic" if dimension["log"] else "linear",
            "Choices": None if dimension["choices"] is None else ", ".join(map(_shown, dimension["choices"])),
        }
        for name, dimension in study.about["space"].items()
    ]
    intro = "Every trial trained on training rows and was measured on validation rows; the test rows were left out."
    return Section("What was searched", intro, [page.table(rows)])


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(path: str) -> str:
    """The last part of a metric's name or a value's path."""
    return path.replace("/", ".").rpartition(".")[2]
