"""The page from which a reviewer decides on a quality model: is it better, where is it worse, may I ship it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from catalog.corruption import PART
from models.evaluation import charts, page, sections
from models.evaluation.bootstrap import mean_interval
from models.evaluation.comparison import shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.page import ImageItem, Section, Tone
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline, figure
from models.family import EvaluationRun
from models.quality.answers import AXES
from models.quality.axes import readers
from models.quality.beside import side_by_side
from models.quality.evaluate import SHAPE, by_listing
from models.quality.names import KIND_LABELS, NAMES
from models.quality.trials import GOOD

BY_KIND = {
    "twin_order": "Scores lower",
    "fault_attribution": "Found",
    "fault_attribution_unseen": "Found, the kind never shown",
}
"""Columns of the table of faults."""

IMPROVEMENTS = 3
"""Suggestions that are shown of an assessment."""

MISSING = Metric(value=None)


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    playground: str | None = None,
) -> Headline:
    """Write the page to the file `out`, and return what it says first; its photos come with the run."""
    new, old = _main(run.evaluation), _main(champion.evaluation) if champion else None
    differences = None
    if champion and old:
        differences = sections.differences_of(new, old, paired_differences(run.predictions, champion.predictions), NAMES)
    listings = run.predictions[run.predictions["kind"] != SHAPE]
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        *sections.beside_simple_models(new, NAMES),
        _by_kind(run.evaluation, listings),
        _mistaken(listings),
        _axes(listings),
        _shapes(run.predictions[run.predictions["kind"] == SHAPE]),
        _assessments("Assessments of listings as they are", listings[listings["kind"] == GOOD]),
        _assessments("Assessments of listings that were made worse", listings[listings["kind"] != GOOD]),
        sections.slices(new, old, NAMES),
    ]
    examples, risks = side_by_side(run, champion)
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "products", examples=examples, risks=risks, playground=playground
    )


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of order and attribution, on the same listings made worse in the same way."""
    a, b = shared_rows(new[new["kind"].isin(PART)], old[old["kind"].isin(PART)], "key")
    found: dict[str, Metric] = {}
    for name, hits in (
        ("twin_order", [frame["score"].astype(float) < frame["score_before"].astype(float) for frame in (a, b)]),
        ("fault_attribution", [frame["worst"] == frame["axis"] for frame in (a, b)]),
    ):
        change = hits[0].astype(float) - hits[1].astype(float)
        rows = pd.DataFrame({"product_id": a["product_id"], "change": change})
        found[name] = mean_interval(by_listing(rows, "change"))
    return found


def _main(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what has a section of its own: kinds of fault."""
    kept = {name: m for name, m in evaluation.metrics.items() if "." not in name or NAMES.is_peer(name)}
    return evaluation.model_copy(update={"metrics": kept})


def _by_kind(evaluation: Evaluation, listings: pd.DataFrame) -> Section:
    """Each kind of fault: whether it lowers the score, and whether it is found, also where it was never shown."""
    kinds = [kind for kind in PART if f"twin_order.{kind}" in evaluation.metrics]
    rows = []
    for kind in kinds:
        row: dict[str, Any] = {"Fault": KIND_LABELS[kind].capitalize(), "Axis": readers()[PART[kind]].label}  # type: ignore[index]
        row |= {label: evaluation.metrics.get(f"{name}.{kind}", MISSING).value for name, label in BY_KIND.items()}
        told = listings[listings["kind"] == kind]
        drop = told["score"].astype(float) - told["score_before"].astype(float)
        rows.append(row | {"Median change of the score": float(drop.median()), "Listings": len(told)})
    intro = (
        "The same listings with one fault each. Found: the lowest axis is that of the fault. Kind never shown: as the axes are "
        "when that kind is left out of what they learn from; a fault that is the only one of its axis has no such figure, "
        "unless the other parts teach what belongs to a listing. The product model below was not shown descriptions of other "
        "products, whichever axes are asked."
    )
    formats: dict[str, page.Format] = dict.fromkeys(BY_KIND.values(), ".1%")
    return Section(
        "Which faults are found?", intro, [page.table(rows, formats | {"Median change of the score": "+.3f", "Listings": ",d"})]
    )


def _mistaken(listings: pd.DataFrame) -> Section:
    """To which axis each fault is attributed."""
    faulty = listings[listings["kind"].isin(PART)]
    counts = pd.crosstab(faulty["kind"], faulty["worst"], normalize="index")
    rows = []
    for kind in [kind for kind in PART if kind in counts.index]:
        row: dict[str, Any] = {"Fault": KIND_LABELS[kind].capitalize()}
        row |= {readers()[axis].label: float(counts[axis][kind]) if axis in counts else 0.0 for axis in AXES}
        rows.append(row)
    intro = "Share of the listings with a fault whose lowest axis is this one."
    formats: dict[str, page.Format] = {readers()[axis].label: _share for axis in AXES}
    return Section("What is it taken for?", intro, [page.table(rows, formats)])


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.005 else "–"


def _axes(listings: pd.DataFrame) -> Section:
    """How the scores of listings as they are lie."""
    good = listings[listings["kind"] == GOOD]
    rows = []
    for name, label in [("score", "Score"), *((f"axis_{axis}", readers()[axis].label) for axis in AXES)]:
        if name not in good or good[name].notna().sum() == 0:
            continue
        values = good[name].dropna().astype(float)
        quantiles = {f"{q:.0%} lie below": float(values.quantile(q)) for q in (0.05, 0.25, 0.5)}
        lowest = (good["worst"] == name.removeprefix("axis_")).mean() if name != "score" else None
        rows.append({"": label, **quantiles, "Lowest axis of": lowest, "Listings": len(values)})
    formats: dict[str, page.Format] = {f"{q:.0%} lie below": figure for q in (0.05, 0.25, 0.5)}
    table = page.table(rows, formats | {"Lowest axis of": ".1%", "Listings": ",d"})
    return Section("How do listings as they are score?", "", [table])


def _shapes(points: pd.DataFrame) -> Section:
    """The curves that were learned, axis by axis."""
    blocks = []
    for axis, rows in points.groupby("axis", sort=False):
        curves = {str(name): (part["x"].tolist(), part["y"].tolist()) for name, part in rows.groupby("name", sort=False)}
        label = readers()[axis].label  # type: ignore[index]
        blocks += [page.text(label), page.figure(charts.rising(curves, "log odds"), f"Curves of {label}")]
    intro = (
        "What each evidence takes off the log odds that the part is good: 0 where it is as good as it gets. No curve ever falls, "
        "so that more of what is good never costs anything."
    )
    return Section("How is evidence weighed?", intro, blocks or [page.text("Nothing was learned.")])


def _assessments(title: str, listings: pd.DataFrame) -> Section:
    """Whole assessments, the worst first."""
    told = listings[listings["told"].notna()].sort_values("score")
    items = [_item(row) for _, row in told.iterrows()]
    return Section(
        title, "The lowest score first; of each its axes, what speaks against it, and what would help.", [page.image_grid(items)]
    )


def _item(row: "pd.Series[Any]") -> ImageItem:
    answer = json.loads(row["told"])
    lines: list[tuple[str, Tone | None]] = []
    if row["kind"] != GOOD:
        lines.append((f"made worse: {KIND_LABELS[row['kind']]}", "warn"))
    lines.append((f"{answer['score']:.3f}, {answer['verdict']}", "good" if answer["verdict"] == "publish" else "bad"))
    for axis, found in sorted(answer["axes"].items(), key=lambda item: item[1]["score"])[:IMPROVEMENTS]:
        evidence = found["evidence"][0]["text"] if found["evidence"] else ""
        lines.append((f"{readers()[axis].label} {found['score']:.2f}: {evidence}", None))
    lines += [(f"+{one['gain']:.3f}: {one['text']}", "good") for one in answer["improvements"][:IMPROVEMENTS]]
    photo = row["photo"] if isinstance(row["photo"], bytes) else None
    return ImageItem(photo, str(row["title"]), [*lines, (f"product {row['product_id']}", None)])
