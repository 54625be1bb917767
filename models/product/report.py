"""The page from which a reviewer decides on a product model: is it better, where is it worse, may I ship it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from catalog.listing import CATEGORY_LEVELS
from configs.schema import EvaluationConfig
from models.evaluation import charts, page
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.comparison import Better, Reading, independent_difference, reading, shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.metrics import calibration_bins, expected_calibration_error, interval_coverage, macro_f1_of_codes, rmsle
from models.evaluation.page import Badge, ImageItem, Section, Tone, Verdict
from models.evaluation.results import Evaluation, Metric, SliceMetric
from models.family import EvaluationRun

HEAT_MAP_TYPES = 18
CONFUSED_PAIRS = 15
CHANGED_TYPES = 12
WORST_PRICES = 12

LABELS: dict[str, tuple[str, Better | None]] = {
    "article_type_accuracy": ("Article type: accuracy", "higher"),
    "article_type_macro_f1": ("Article type: macro F1", "higher"),
    "sub_category_accuracy": ("Sub-category: accuracy", "higher"),
    "master_category_accuracy": ("Master category: accuracy", "higher"),
    "expected_calibration_error": ("Calibration error (ECE)", "lower"),
    "price_rmsle": ("Price: RMSLE", "lower"),
    "price_interval_coverage": ("Price: true price inside the 90 % range", None),
    "title_to_image_recall_at_10": ("Title finds its photo: recall@10", "higher"),
    "retrieval_ndcg_at_10": ("Title finds its photo: nDCG@10", "higher"),
    "knn_f1": ("Embedding: nearest-neighbour F1", "higher"),
    "invariance_case_whitespace": ("Unchanged by case and spaces", "higher"),
    "latency_p50_ms": ("One prediction: median, ms", "lower"),
    "latency_p95_ms": ("One prediction: 95th percentile, ms", "lower"),
}
"""Reading name and direction of the metrics, in the order of the page."""

BASELINES = {"article_type_accuracy": "majority_accuracy", "price_rmsle": "median_price_rmsle"}
"""What a model that looks at nothing reaches on the same rows."""

SLICE_LABELS = {
    "master_category": "Master category",
    "price_band": "Price",
    "brand_tier": "Brand",
    "has_image": "Has an image",
    "has_description": "Has a description",
}

TONES: dict[Reading, Literal["good", "bad", "plain"]] = {"better": "good", "worse": "bad", "no clear difference": "plain"}


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    worst: int = EvaluationConfig().worst,
) -> None:
    """Write the page to the file `out`; `worst` errors are shown with their photos."""
    evaluation = run.evaluation
    differences = _differences(run, champion)
    sections = [
        _gates(decision),
        _metrics(evaluation, champion.evaluation if champion else None, differences),
        _slices(evaluation, champion.evaluation if champion else None),
        *([_changes(run.predictions, champion.predictions)] if champion else []),
        _confusion(run.predictions),
        _calibration(run.predictions, champion.predictions if champion else None),
        _prices(run.predictions),
        _worst(run.predictions, catalogue, worst),
        _next(evaluation, decision),
        _about(evaluation, champion.evaluation if champion else None),
    ]
    name = f"{evaluation.model} {f'version {evaluation.version}' if evaluation.version else 'candidate'}"
    subtitle = f"{evaluation.n:,} {evaluation.split} products of catalogue {evaluation.data[:12]}"
    html = page.render_page(f"Evaluation of {name}", subtitle, _verdict(decision, champion, differences), sections)
    page.write_page(out, html)


def _verdict(decision: GateDecision, champion: EvaluationRun | None, differences: dict[str, Metric]) -> Verdict:
    readings = {name: reading(d, _label(name)[1]) for name, d in differences.items()}
    lines = []
    for word in ("better", "worse"):
        names = [_label(name)[0] for name, r in readings.items() if r == word]
        if names:
            lines.append(f"Clearly {word} than the champion: {', '.join(names)}.")
    if champion is None:
        lines.append("There is no champion yet: nothing to compare with.")
    elif not lines:
        lines.append("No clear difference from the champion on any metric.")
    failures = decision.failures()
    if not decision.passed:
        of = f"{len(failures)} of {len(decision.checks)} gates failed" if decision.checks else "no gate was checked"
        return Verdict(f"Do not ship: {of}", "bad", [*failures, *lines])
    worse = "worse" in readings.values()
    headline = f"May be promoted: all {len(decision.checks)} gates passed"
    return Verdict(f"{headline}, but it is worse in places" if worse else headline, "warn" if worse else "good", lines)


def _gates(decision: GateDecision) -> Section:
    rows = [
        {
            "Gate": check.name,
            "Value": check.value,
            "Bound": check.bound,
            "Verdict": Badge("passed", "good") if check.passed else Badge("failed", "bad"),
            "Why": check.detail,
        }
        for check in decision.checks
    ]
    block = page.table(
        rows,
        {"Value": ".4g", "Bound": ".4g"},
        tones=[None if c.passed else "bad" for c in decision.checks],
        empty=decision_empty(decision),
    )
    return Section("Gates", "A version becomes challenger only if every gate passes; a metric that is missing fails.", [block])


def decision_empty(decision: GateDecision) -> str:
    """What stands in place of the table when no gate was checked."""
    return " ".join(decision.failures()) or "Nothing to show."


def _metrics(evaluation: Evaluation, champion: Evaluation | None, differences: dict[str, Metric]) -> Section:
    rows: list[dict[str, Any]] = []
    tones: list[Tone | None] = []
    shown = [n for n in LABELS if n in evaluation.metrics]
    shown += [n for n in evaluation.metrics if n not in LABELS and n not in BASELINES.values()]
    for name in shown:
        label, better = _label(name)
        metric = evaluation.metrics[name]
        row: dict[str, Any] = {"Metric": label, "Value": metric.value, "95 % interval": _range(metric)}
        word = None
        if champion:
            difference = differences.get(name, Metric(value=None))
            word = reading(difference, better)
            row |= {
                "Champion": champion.metrics[name].value if name in champion.metrics else None,
                "Difference": _signed(difference.value),
                "its 95 % interval": _range(difference, "+.3f"),
                "Reading": Badge(word, TONES[word]) if word else None,
            }
        baseline = evaluation.metrics.get(BASELINES.get(name, ""))
        row["Without a model"] = baseline.value if baseline else None
        rows.append(row)
        tones.append("bad" if word == "worse" else None)
    intro = "Intervals: 95 % bootstrap over products. Without a model: always the most frequent type, always the median price."
    if champion:
        intro += " Differences come from the products that both were measured on; they are clear where the interval leaves out 0."
    formats: dict[str, page.Format] = dict.fromkeys(("Value", "Champion", "Without a model"), _three)
    return Section("Is it better?", intro, [page.table(rows, formats, tones=tones)])


def _slices(evaluation: Evaluation, champion: Evaluation | None) -> Section:
    metrics = list(dict.fromkeys(s.metric for s in evaluation.slices))
    current = {(s.slice, s.value, s.metric): s.result for s in champion.slices} if champion else {}
    blocks = [_slice_chart(evaluation, metric, current) for metric in metrics]
    worse = _worse_slices(evaluation.slices, current)
    lagging = _lagging_slices(evaluation)
    tables = []
    for metric in metrics:
        label = _label(metric)[0]
        rows: list[dict[str, Any]] = []
        tones: list[Tone | None] = []
        for part in (s for s in evaluation.slices if s.metric == metric):
            key = (part.slice, part.value, part.metric)
            old = current.get(key)
            row: dict[str, Any] = {"Slice": _slice_label(part), "Products": part.result.n, label: part.result.value}
            row["95 % interval"] = _range(part.result)
            if champion:
                row["Champion"] = old.value if old else None
                row["Difference"] = _signed(independent_difference(part.result, old).value) if old else None
            remark = "worse than champion" if key in worse else "below overall" if key in lagging else ""
            row[""] = Badge(remark, "bad" if key in worse else "warn") if remark else ""
            rows.append(row)
            tones.append("bad" if key in worse else "warn" if key in lagging else None)
        tables.append(page.table(rows, {label: _three, "Champion": _three}, tones=tones))
    intro = "Orange: clearly worse than the version's own overall value. Red: clearly worse than the champion on the same slice."
    if not metrics:
        return Section("Where is it worse?", "", [page.text("No slice has enough products to be reported.")])
    return Section("Where is it worse?", intro, [page.columns(*blocks), *tables])


def _slice_chart(evaluation: Evaluation, metric: str, champion: dict[tuple[str, str, str], Metric]) -> page.Block:
    parts = [s for s in evaluation.slices if s.metric == metric]
    overall = evaluation.metrics.get(metric)
    label = _label(metric)[0]
    drawing = charts.dots(
        [_slice_label(s) for s in parts],
        [s.result for s in parts],
        [champion.get((s.slice, s.value, metric)) for s in parts],
        overall.value if overall else None,
        label,
    )
    return page.figure(drawing, f"{label} by slice")


def _worse_slices(slices: Sequence[SliceMetric], champion: dict[tuple[str, str, str], Metric]) -> set[tuple[str, str, str]]:
    """Slices whose interval of the difference from the champion lies on the bad side of 0."""
    found = set()
    for part in slices:
        key = (part.slice, part.value, part.metric)
        if key in champion and reading(independent_difference(part.result, champion[key]), _label(part.metric)[1]) == "worse":
            found.add(key)
    return found


def _lagging_slices(evaluation: Evaluation) -> set[tuple[str, str, str]]:
    """Slices clearly worse than the version's own overall value."""
    found = set()
    for part in evaluation.slices:
        overall = evaluation.metrics.get(part.metric)
        if overall and reading(independent_difference(part.result, overall), _label(part.metric)[1]) == "worse":
            found.add((part.slice, part.value, part.metric))
    return found


def _changes(challenger: pd.DataFrame, champion: pd.DataFrame) -> Section:
    """Article types by how many products the challenger lost or won."""
    new, old = shared_rows(_labelled(challenger), _labelled(champion))
    right, was_right = _hits(new), _hits(old)
    counts = pd.DataFrame({"type": new["true_article_type"], "lost": was_right & ~right, "won": right & ~was_right, "now": right})
    by_type = counts.groupby("type").agg(
        Products=("now", "size"), Won=("won", "sum"), Lost=("lost", "sum"), accuracy=("now", "mean")
    )
    by_type["Net"] = by_type["Won"] - by_type["Lost"]
    by_type = by_type.rename(columns={"accuracy": "Accuracy now"}).rename_axis("Article type").reset_index()
    worst = by_type[by_type["Net"] < 0].sort_values(["Net", "Products"], ascending=[True, False]).head(CHANGED_TYPES)
    best = by_type[by_type["Net"] > 0].sort_values(["Net", "Products"], ascending=[False, False]).head(CHANGED_TYPES)
    formats: dict[str, page.Format] = {"Accuracy now": _three, "Net": "+d"}
    tables = [
        page.table(worst, formats, caption="Lost the most", empty="No type lost more than it won."),
        page.table(best, formats, caption="Won the most", empty="No type won more than it lost."),
    ]
    intro = (
        f"On {len(new):,} shared products the challenger wins {int(counts['won'].sum()):,} that the champion got wrong, "
        f"and loses {int(counts['lost'].sum()):,} that it got right."
    )
    return Section("What changed against the champion", intro, [page.columns(*tables)])


def _confusion(predictions: pd.DataFrame) -> Section:
    rows = _labelled(predictions)
    true, predicted = rows["true_article_type"], rows["predicted_article_type"]
    wrong = rows[~_hits(rows)]
    pairs = wrong.groupby(["true_article_type", "predicted_article_type"]).size().rename("Products").reset_index()
    pairs["share"] = pairs["Products"] / pairs["true_article_type"].map(true.value_counts())
    pairs = pairs.sort_values(["Products", "share"], ascending=False).head(CONFUSED_PAIRS)
    pairs.columns = pd.Index(["True", "Predicted", "Products", "of its type"])
    table = page.table(pairs, {"of its type": ".0%"}, caption="Most frequent confusions", empty="No article type was confused.")
    if rows.empty:
        return Section("What is confused with what", "", [table])
    types = true.value_counts().index[:HEAT_MAP_TYPES]
    matrix = pd.crosstab(true, predicted).reindex(index=types, columns=types, fill_value=0)
    shares = matrix.div(true.value_counts().reindex(types), axis=0).to_numpy(dtype=float)
    caption = f"The {len(types)} most frequent article types; per cent of the true type. What a row lacks went to other types."
    return Section(
        "What is confused with what",
        f"{len(wrong):,} of {len(rows):,} article types are wrong.",
        [page.figure(charts.heat_map(shares, [str(t) for t in types]), "Confusion matrix of article types", caption), table],
    )


def _calibration(predictions: pd.DataFrame, champion: pd.DataFrame | None) -> Section:
    rows = _labelled(predictions)
    intro = "Of the types given with 80 % confidence, 80 % should be right. Below the diagonal the model is too sure of itself."
    if rows.empty:
        return Section("Can its confidence be believed?", intro, [page.text("No product has a known article type.")])
    bins = _bins(rows)
    table = page.table(
        bins[["low", "high", "rows", "confidence", "accuracy"]].rename(
            columns={
                "low": "From",
                "high": "to",
                "rows": "Products",
                "confidence": "Mean confidence",
                "accuracy": "Share correct",
            }
        ),
        {"From": ".2f", "to": ".2f", "Mean confidence": ".3f", "Share correct": ".3f"},
    )
    picture = page.figure(
        charts.reliability(bins, _bins(_labelled(champion)) if champion is not None else None), "Share correct by confidence"
    )
    return Section("Can its confidence be believed?", intro, [page.columns(picture, table)])


def _prices(predictions: pd.DataFrame) -> Section:
    rows = _priced(predictions)
    if rows.empty:
        return Section("Prices", "", [page.text("No product has a known price.")])
    rows = rows.assign(ratio=rows["predicted_price"] / rows["true_price"])
    bands = rows.groupby("price_band")["true_price"].min().sort_values().index
    table = []
    for band in bands:
        part = rows[rows["price_band"] == band]
        table.append(
            {
                "True price": band,
                "Products": len(part),
                "RMSLE": rmsle(part["true_price"], part["predicted_price"]),
                "Median predicted ÷ true": float(part["ratio"].median()),
                "Within a factor of 1.5": float(np.mean(np.abs(np.log(part["ratio"])) <= np.log(1.5))),
                "Inside its range": interval_coverage(part["true_price"], part["price_low"], part["price_high"]),
            }
        )
    formats: dict[str, page.Format] = {
        "RMSLE": ".3f",
        "Median predicted ÷ true": ".2f",
        "Within a factor of 1.5": ".0%",
        "Inside its range": ".0%",
    }
    scatter = charts.price_scatter(rows["true_price"].to_numpy(dtype=float), rows["predicted_price"].to_numpy(dtype=float))
    ratios = charts.price_ratios(
        [str(b) for b in bands], [rows.loc[rows["price_band"] == b, "ratio"].to_numpy(dtype=float) for b in bands]
    )
    blocks = [
        page.columns(
            page.figure(scatter, "Predicted against true price", f"{len(rows):,} products with a price."),
            page.figure(ratios, "Predicted to true price by band", "Box: half of the products; whiskers: 90 %."),
        ),
        page.table(table, formats),
    ]
    return Section(
        "Prices",
        "A model that is unsure predicts towards the middle: too high for cheap products, too low for dear ones.",
        blocks,
    )


def _worst(predictions: pd.DataFrame, catalogue: Catalogue, worst: int) -> Section:
    """The most confident wrong types and the largest price errors, with photos."""
    labelled, priced = _labelled(predictions), _priced(predictions)
    sure = labelled[~_hits(labelled)].sort_values("article_type_confidence", ascending=False, kind="stable").head(worst)
    off = (np.log(priced["predicted_price"]) - np.log(priced["true_price"])).abs().sort_values(ascending=False, kind="stable")
    dear = priced.loc[off.index[:WORST_PRICES]]
    wanted = pd.concat([sure["product_id"], dear["product_id"]])
    products = catalogue.read("products", ["product_id", "title"])
    titles = products[products["product_id"].isin(wanted)].drop_duplicates("product_id").set_index("product_id")["title"]

    def items(rows: pd.DataFrame, lines: Callable[[Any], list[tuple[str, Tone | None]]]) -> list[ImageItem]:
        found = []
        for row in rows.itertuples():
            title = titles.get(row.product_id)
            label = title if isinstance(title, str) and title.strip() else f"product {row.product_id}"
            found.append(ImageItem(catalogue.images.get(row.product_id), label, lines(row)))
        return found

    types = items(
        sure,
        lambda r: [
            (f"true: {r.true_article_type}", "good"),
            (f"predicted: {r.predicted_article_type} ({r.article_type_confidence:.0%})", "bad"),
            (f"product {r.product_id}", None),
        ],
    )
    prices = items(
        dear,
        lambda r: [
            (f"true: {_money(r.true_price)}", "good"),
            (f"predicted: {_money(r.predicted_price)} ({_money(r.price_low)}–{_money(r.price_high)})", "bad"),
            (f"product {r.product_id}", None),
        ],
    )
    intro = "Errors made with the highest confidence. Some are mistakes of the catalogue: correct those at the source."
    return Section(
        "Worst errors",
        intro,
        [
            page.image_grid(types, empty="No article type is wrong."),
            page.text("Largest price errors, by ratio:"),
            page.image_grid(prices, empty="No product has a known price."),
        ],
    )


def _next(evaluation: Evaluation, decision: GateDecision) -> Section:
    version = evaluation.version or "VERSION"
    if not decision.passed:
        return Section(
            "What to do",
            "It was refused, so it is not challenger and cannot be promoted. Mend what the gates name, then train again.",
            [page.commands([f"vitrina train {evaluation.model} --data DIR", f"vitrina history {evaluation.model}"])],
        )
    lines = [
        f'vitrina promote {evaluation.model} {version} --reviewer YOUR_NAME --note "why"',
        f"vitrina rollback {evaluation.model}   # the way back",
        f"vitrina history {evaluation.model}",
    ]
    intro = "Promote by this command, or by moving the alias champion in the MLflow UI; the service follows without a restart."
    if evaluation.version is None:
        intro += " VERSION is the number that MLflow gave to it: the one with the alias challenger."
    return Section("What to do", intro, [page.commands(lines)])


def _about(evaluation: Evaluation, champion: Evaluation | None) -> Section:
    facts: dict[str, Any] = {
        "Model": evaluation.model,
        "Version": evaluation.version or "not registered yet",
        "Products measured": f"{evaluation.n:,} ({evaluation.split})",
        "Catalogue": evaluation.data,
        "Champion": f"version {champion.version or 'unknown'}, {champion.n:,} products" if champion else "none",
    }
    return Section("What was measured", "", [page.facts(facts)])


def _differences(run: EvaluationRun, champion: EvaluationRun | None) -> dict[str, Metric]:
    """Challenger minus champion for every metric that both have; paired by product where predictions tell."""
    if champion is None:
        return {}
    new, old = run.evaluation.metrics, champion.evaluation.metrics
    differences = {
        name: independent_difference(new[name], old[name]) for name in new if name in old and name not in BASELINES.values()
    }
    paired = _paired(*shared_rows(run.predictions, champion.predictions))
    return differences | {name: metric for name, metric in paired.items() if name in differences and metric.value is not None}


def _paired(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Differences on the same products, resampled together."""
    found = {}
    for level in CATEGORY_LEVELS:
        known = new[f"true_{level}"].notna()
        found[f"{level}_accuracy"] = mean_interval(
            _hits(new[known], level).astype(float) - _hits(old[known], level).astype(float)
        )
    known = new["true_article_type"].notna()
    a, b = new[known], old[known]
    codes, classes = pd.factorize(
        pd.concat([a["true_article_type"], a["predicted_article_type"], b["predicted_article_type"]]), use_na_sentinel=False
    )
    true, ours, theirs = np.split(codes, 3)
    count = len(classes)
    found["article_type_macro_f1"] = interval(
        lambda t, p, q: macro_f1_of_codes(t, p, count) - macro_f1_of_codes(t, q, count), true, ours, theirs
    )
    found["expected_calibration_error"] = interval(
        lambda c, h, d, i: expected_calibration_error(c, h) - expected_calibration_error(d, i),
        a["article_type_confidence"],
        _hits(a),
        b["article_type_confidence"],
        _hits(b),
    )
    priced = (new["true_price"] > 0) & (new["predicted_price"] > 0) & (old["predicted_price"] > 0)
    a, b = new[priced], old[priced]
    found["price_rmsle"] = interval(
        lambda t, p, q: rmsle(t, p) - rmsle(t, q), a["true_price"], a["predicted_price"], b["predicted_price"]
    )
    inside = [(f["price_low"] <= a["true_price"]) & (a["true_price"] <= f["price_high"]) for f in (a, b)]
    found["price_interval_coverage"] = mean_interval(inside[0].astype(float) - inside[1].astype(float))
    return found


def _labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["true_article_type"].notna()]


def _priced(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[(predictions["true_price"] > 0) & (predictions["predicted_price"] > 0)]


def _hits(rows: pd.DataFrame, level: str = "article_type") -> "pd.Series[bool]":
    return rows[f"true_{level}"].astype(object) == rows[f"predicted_{level}"].astype(object)


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    return calibration_bins(rows["article_type_confidence"], _hits(rows))


def _label(name: str) -> tuple[str, Better | None]:
    return LABELS.get(name, (name, None))


def _slice_label(part: SliceMetric) -> str:
    return f"{SLICE_LABELS.get(part.slice, part.slice.replace('_', ' ').capitalize())}: {part.value}"


def _three(value: float) -> str:
    """Three decimals for shares and errors, one for larger figures such as milliseconds."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"


def _range(metric: Metric, form: str = ".3f") -> str | None:
    if metric.low is None or metric.high is None:
        return None
    return f"{metric.low:{form}} to {metric.high:{form}}"


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
