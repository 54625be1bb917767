"""The page from which a reviewer decides on a few-shot model: is it better, where is it worse, may I ship it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation import charts, page, sections
from models.evaluation.bootstrap import mean_interval
from models.evaluation.comparison import shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.page import Badge, Section, Tone
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline, figure
from models.family import EvaluationRun
from models.fewshot import learner as learners
from models.fewshot.beside import side_by_side
from models.fewshot.card import flatters
from models.fewshot.names import NAMES
from models.fewshot.pictures import Pictures

PAIRS = 15
"""Confused pairs that are listed."""

PAIRS_SHOWN = 6
"""Of these, pairs that are shown with their photos."""

MISTAKES = 12
"""Mistakes of a task that are shown."""

SHOTS = (1, 2, 5, 10, 20)
SETTINGS = {
    "5way_1shot": "5 classes, 1 example",
    "5way_5shot": "5 classes, 5 examples",
    "20way_5shot": "20 classes, 5 examples",
    "novel_5way_5shot": "New department",
}
"""Columns of the table of learners."""

MAIN, NOVEL = "5way_5shot", "novel_5way_5shot"
MISSING = Metric(value=None)


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    playground: str | None = None,
) -> Headline:
    """Write the page to the file `out`, and return what it says first."""
    new, old = _main(run.evaluation), _main(champion.evaluation) if champion else None
    differences = None
    if champion and old:
        differences = sections.differences_of(new, old, paired_differences(run.predictions, champion.predictions), NAMES)
    frame, pictures = run.predictions, Pictures(catalogue)
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        _seen_before(frame),
        *sections.beside_simple_models(new, NAMES),
        _learners(run.evaluation),
        _strangers(new),
        sections.slices(new, old, NAMES),
        _confused("What is confused with what?", frame[frame["setting"] == MAIN], pictures),
        _episodes("Tasks, the worst first", frame[frame["setting"] == MAIN], pictures),
    ]
    if NOVEL in set(frame["setting"]):
        parts += _novel(new, frame[frame["setting"] == NOVEL], pictures)
    examples = side_by_side(frame, champion.predictions if champion else None, pictures)
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "products", examples=examples, playground=playground
    )


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of the metrics that are means over episodes, on the episodes that both have played."""
    both = shared_rows(new[new["kind"] == "episode"], old[old["kind"] == "episode"], "episode")
    found: dict[str, Metric] = {}
    for setting in both[0]["setting"].unique():
        a, b = (frame[frame["setting"] == setting] for frame in both)
        suffix = "" if setting == MAIN else f"_{setting}"
        names = {f"accuracy_{setting}": "accuracy"}
        names |= {f"{column}{suffix}": column for column in ("false_rejection", "unknown_rejection")}
        found |= {name: mean_interval((a[column] - b[column]).dropna()) for name, column in names.items()}
    return found


def _main(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what has a section of its own: learners alone."""
    kept = {name: m for name, m in evaluation.metrics.items() if "." not in name or NAMES.is_peer(name)}
    return evaluation.model_copy(update={"metrics": kept})


def _seen_before(frame: pd.DataFrame) -> Section:
    """Whether the figures are of types that are new to every part."""
    types = frame[frame["kind"] == "type"]
    known = sorted(types.loc[types["known"] == "yes", "true"].unique())
    return Section("Are the types new to it?", "", [page.text(flatters(known, types["true"].nunique()))])


def _learners(evaluation: Evaluation) -> Section:
    """Each learner in each setting, and by the number of examples."""
    title = "What does each learner reach?"
    names = list(dict.fromkeys(name.partition(".")[0] for name in evaluation.metrics if ".accuracy_" in name))

    def of(name: str, setting: str) -> Metric:
        return evaluation.metrics.get(f"{name}.accuracy_{setting}" if name else f"accuracy_{setting}", MISSING)

    settings = {s: label for s, label in SETTINGS.items() if any(of(name, s).value is not None for name in names)}
    rows = []
    for name in ["", *names]:
        row: dict[str, Any] = {"Learner": _label(name) if name else "Answers by default"}
        for setting, label in settings.items():
            row[label] = _with_interval(of(name, setting))
        rows.append(row)
    shots = [n for n in SHOTS if of("", f"5way_{n}shot").value is not None]
    series = {_label(name) if name else "answers by default": [of(name, f"5way_{n}shot") for n in shots] for name in ["", *names]}
    drawn = {
        name: metrics for name, metrics in series.items() if all(m.value is not None for m in metrics) and name != "Guessing"
    }
    blocks = [page.table(rows)]
    if len(shots) > 1:
        curve = charts.curves(shots, drawn, "examples of each class", "accuracy among 5 classes")
        blocks.insert(0, page.figure(curve, "Accuracy by the number of examples", "The band is the 95 % interval."))
    intro = (
        "Mean accuracy over tasks, with its 95 % interval. What answers by default was chosen on other types, for each number of "
        "examples. Learners that read photos are measured on the products that have one."
    )
    return Section(title, intro, blocks)


def _label(name: str) -> str:
    """Readable; a version may have learners that are no longer there."""
    if name == "chance":
        return "Guessing"
    return learners.get(name).label if name in learners.names() else name


def _with_interval(metric: Metric) -> str | None:
    if metric.value is None:
        return None
    between = "" if metric.low is None or metric.high is None else f" ({figure(metric.low)} to {figure(metric.high)})"
    return f"{figure(metric.value)}{between}"


def _strangers(evaluation: Evaluation) -> Section:
    """What is rejected, rightly and falsely, by number of examples."""
    kinds = {"_5way_1shot": "1 example of each", "": "5 examples of each", f"_{NOVEL}": "5 examples, new department"}
    rows = []
    for suffix, label in kinds.items():
        told = [evaluation.metrics.get(f"{name}{suffix}", MISSING) for name in ("false_rejection", "unknown_rejection")]
        peer = evaluation.metrics.get(f"nearest_centroid.unknown_rejection{suffix}", MISSING)
        if told[0].value is not None:
            row = {"Tasks of 5 classes": label, "Members falsely rejected": _with_interval(told[0])}
            rows.append(row | {"Strangers rejected": _with_interval(told[1]), "By distance alone": _with_interval(peer)})
    intro = (
        "Strangers are products of types that are no class of the task. By distance alone: how many are rejected by the distance "
        "to the nearest class mean, with one bound for all tasks that falsely rejects as many members. That bound is set on the "
        "very products that are measured, which no version could."
    )
    return Section("Does it know what it does not know?", intro, [page.table(rows, empty="Not measured.")])


def _confused(title: str, frame: pd.DataFrame, pictures: Pictures) -> Section:
    """Pairs of types that are taken for each other, the first of them with a product that was and an example of the other."""
    pairs = frame[frame["kind"] == "confused"].head(PAIRS)
    rows = [
        {
            "Type": r["true"],
            "taken for": r["answered"],
            "Products": int(r["count"]),
            "of": int(r["of"]),
            "Share": r["count"] / r["of"],
        }
        for _, r in pairs.iterrows()
    ]
    shown = []
    for _, row in pairs.head(PAIRS_SHOWN).iterrows():
        shown.append(pictures.item(row["product_id"], [(row["true"], "good"), (f"taken for {row['answered']}", "bad")]))
        shown.append(pictures.item(row["other_id"], [(row["answered"], None), ("taught as its example", None)]))
    intro = (
        "Pairs of types, in either direction: products taken for the other, of those asked about while both were classes. Beside "
        "each product that was taken for another type stands an example of that type."
    )
    table = page.table(rows, {"Share": ".1%", "of": ",d", "Products": ",d"}, empty="No type was taken for another.")
    return Section(title, intro, [table, *([page.image_grid(shown)] if shown else [])])


def _episodes(title: str, frame: pd.DataFrame, pictures: Pictures) -> Section:
    """Tasks with what was taught and what was answered."""
    rows = frame[frame["kind"].isin(["support", "asked"])]
    told = frame[frame["kind"] == "episode"].set_index("episode")
    blocks: list[page.Block] = []
    for number, (key, part) in enumerate(rows.groupby("episode", sort=False), 1):
        blocks += _episode(f"Task {number}", told.loc[[str(key)]].iloc[0], part, pictures)
    intro = (
        "The tasks in which most products were not given their class, then the first of the others. Each row begins with a class "
        "and what it was taught by; below stand the mistakes."
    )
    return Section(title, intro, blocks or [page.text("Not measured.")])


def _episode(title: str, told: "pd.Series[Any]", part: pd.DataFrame, pictures: Pictures) -> list[page.Block]:
    """One task: its classes with their examples, what went right, and the mistakes."""
    support, asked = part[part["kind"] == "support"], part[part["kind"] == "asked"]
    stranger, rejected = asked["true"].isna(), asked["stranger"] > 0.5
    right = asked[~stranger & ~rejected & (asked["true"] == asked["answered"])]
    refused = asked[stranger & rejected]
    which = "among the worst" if (part["shown"] == "worst").all() else "one of the others"
    text = (
        f"{title}, {which}: {told['accuracy']:.0%} of {int((~stranger).sum())} products are most like their class, "
        f"{told['false_rejection']:.0%} were falsely rejected"
    )
    text += f"; {len(refused)} of {int(stranger.sum())} strangers were rejected." if stranger.any() else "."
    classes = [pictures.row(str(name), rows["product_id"], "taught") for name, rows in support.groupby("true", sort=False)]
    good = [
        pictures.row(name, rows["product_id"].sample(frac=1.0, random_state=0), f"{len(rows)} products", "good")
        for name, rows in (("Right", right), ("Strangers rejected", refused))
        if len(rows)
    ]
    wrong = asked[~asked.index.isin([*right.index, *refused.index])]
    return [page.text(text), page.image_rows([*classes, *good]), page.image_grid(_mistakes(wrong, pictures), "No mistake.")]


def _mistakes(wrong: pd.DataFrame, pictures: Pictures) -> list[page.ImageItem]:
    """The surest mistakes with what was answered."""
    found = []
    for _, row in wrong.sort_values("probability", ascending=False, kind="stable").head(MISTAKES).iterrows():
        lines: list[tuple[str, Tone | None]]
        if pd.isna(row["true"]):
            lines = [("a stranger", "good"), (f"let through as {row['answered']} ({row['probability']:.0%})", "bad")]
        elif row["stranger"] > 0.5:
            lines = [(row["true"], "good"), ("falsely rejected", "warn")]
        else:
            lines = [(row["true"], "good"), (f"taken for {row['answered']} ({row['probability']:.0%})", "bad")]
        found.append(pictures.item(row["product_id"], lines))
    return found


def _novel(evaluation: Evaluation, frame: pd.DataFrame, pictures: Pictures) -> Sequence[Section]:
    """What a wholly new department costs."""
    here, there = (evaluation.metrics.get(f"accuracy_{setting}", MISSING) for setting in (NOVEL, MAIN))
    types = frame[frame["kind"] == "type"].sort_values("accuracy")
    rows = [
        {"Type": r["true"], "Accuracy": r["accuracy"], "Falsely rejected": r["false_rejection"], "Tasks": int(r["count"])}
        | {"": Badge("the base was trained on it", "warn") if r["known"] == "yes" else ""}
        for _, r in types.iterrows()
    ]
    intro = (
        f"Types of departments that no learner saw a product of, 5 classes with 5 examples each: accuracy "
        f"{_with_interval(here) or 'not measured'}, beside {_with_interval(there) or 'nothing'} on the other types."
    )
    table = page.table(rows, {"Accuracy": ".3f", "Falsely rejected": ".1%", "Tasks": ",d"})
    return [
        Section("What does a new department cost?", intro, [table]),
        _confused("What is confused in the new department?", frame, pictures),
        _episodes("Tasks of the new department", frame, pictures),
    ]
