"""The page from which a reviewer decides on a product model: is it better, where is it worse, may I ship it."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from catalog.corruption import KINDS
from catalog.listing import CATEGORY_LEVELS
from configs.schema import EvaluationConfig
from models.evaluation import charts, page, sections
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.comparison import independent_difference, reading, shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.metrics import calibration_bins, expected_calibration_error, interval_coverage, macro_f1_of_codes, rmsle
from models.evaluation.page import Badge, ImageItem, Section, Tone
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline
from models.family import EvaluationRun
from models.product.beside import money, side_by_side
from models.product.names import NAMES

HEAT_MAP_TYPES = 18
CONFUSED_PAIRS = 15
CHANGED_TYPES = 12
FAULT_AUC = "fault_auc_"
WORST_PRICES = 12


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    playground: str | None = None,
    worst: int = EvaluationConfig().worst,
) -> Headline:
    """Write the page to the file `out`, and return what it says first; `worst` errors are shown with their photos.

    Tasks that the version does not have are left out: the section of the metrics and the verdict say which, and why.
    """
    new, old = run.evaluation, champion.evaluation if champion else None
    differences = None
    if champion:
        paired = paired_differences(*shared_rows(run.predictions, champion.predictions))
        differences = sections.differences_of(new, champion.evaluation, paired, NAMES)
    parts = [sections.gates(decision), sections.metrics(_without_kinds(new), old, differences, NAMES)]
    parts += sections.beside_simple_models(new, NAMES)
    if {"article_type_accuracy", "price_rmsle"} - new.not_applicable.keys():
        parts.append(sections.slices(new, old, NAMES))
    if "article_type_accuracy" not in new.not_applicable:
        comparable = champion is not None and "article_type_accuracy" not in champion.evaluation.not_applicable
        before = champion.predictions if champion and comparable else None
        parts += [] if before is None else [_changes(run.predictions, before)]
        parts += [_confusion(run.predictions), _calibration(run.predictions, before)]
    if "price_rmsle" not in new.not_applicable:
        parts.append(_prices(run.predictions))
    if f"{FAULT_AUC}lowest" not in new.not_applicable:
        parts.append(_faults(new, old))
    if "sentiment_auc" not in new.not_applicable:
        parts.append(_sentiment(new, old))
    parts += _worst(run.predictions, catalogue, worst, new.not_applicable)
    examples, risks = side_by_side(run, champion, catalogue)
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "products", examples=examples, risks=risks, playground=playground
    )


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of the metrics that predictions tell, from two frames of the same products in one order."""
    found = {}
    for level in CATEGORY_LEVELS:
        known = new[f"true_{level}"].notna()
        found[f"{level}_accuracy"] = mean_interval(
            _hits(new[known], level).astype(float) - _hits(old[known], level).astype(float)
        )
    known = new["true_article_type"].notna()
    a, b = new[known], old[known]
    labels = pd.concat([a["true_article_type"], a["predicted_article_type"], b["predicted_article_type"]])
    codes, classes = pd.factorize(labels, use_na_sentinel=False)

    def macro_f1(true: Any, ours: Any, theirs: Any) -> float:
        return macro_f1_of_codes(true, ours, len(classes)) - macro_f1_of_codes(true, theirs, len(classes))

    def calibration(confidence: Any, hits: Any, their_confidence: Any, their_hits: Any) -> float:
        return expected_calibration_error(confidence, hits) - expected_calibration_error(their_confidence, their_hits)

    found["article_type_macro_f1"] = interval(macro_f1, *np.split(codes, 3))
    found["expected_calibration_error"] = interval(
        calibration, a["article_type_confidence"], _hits(a), b["article_type_confidence"], _hits(b)
    )
    priced = (new["true_price"] > 0) & (new["predicted_price"] > 0) & (old["predicted_price"] > 0)
    a, b = new[priced], old[priced]
    found["price_rmsle"] = interval(
        lambda true, ours, theirs: rmsle(true, ours) - rmsle(true, theirs),
        a["true_price"],
        a["predicted_price"],
        b["predicted_price"],
    )
    inside = [((f["price_low"] <= a["true_price"]) & (a["true_price"] <= f["price_high"])).astype(float) for f in (a, b)]
    found["price_interval_coverage"] = mean_interval(inside[0] - inside[1])
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
    formats: dict[str, page.Format] = {"Accuracy now": ".3f", "Net": "+d"}
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
    blocks = [table]
    if len(rows):
        types = true.value_counts().index[:HEAT_MAP_TYPES]
        matrix = pd.crosstab(true, predicted).reindex(index=types, columns=types, fill_value=0)
        shares = matrix.div(true.value_counts().reindex(types), axis=0).to_numpy(dtype=float)
        caption = (
            f"The {len(types)} most frequent article types; per cent of the true type. What a row lacks went to other types."
        )
        picture = charts.heat_map(shares, [str(t) for t in types])
        blocks = [page.figure(picture, "Confusion matrix of article types", caption), table]
    return Section("What is confused with what", f"{len(wrong):,} of {len(rows):,} article types are wrong.", blocks)


def _calibration(predictions: pd.DataFrame, champion: pd.DataFrame | None) -> Section:
    title = "Can its confidence be believed?"
    rows = _labelled(predictions)
    if rows.empty:
        return Section(title, "", [page.text("No product has a known article type.")])
    bins = _bins(rows)
    picture = charts.reliability(bins, _bins(_labelled(champion)) if champion is not None else None)
    readable = {"low": "From", "high": "to", "rows": "Products", "confidence": "Mean confidence", "accuracy": "Share correct"}
    table = page.table(
        bins.rename(columns=readable), {"From": ".2f", "to": ".2f", "Mean confidence": ".3f", "Share correct": ".3f"}
    )
    figure = page.figure(picture, "Share correct by confidence", f"Bins of fewer than {charts.FEW} products are not drawn.")
    intro = "Of the types given with 80 % confidence, 80 % should be right. Below the diagonal the model is too sure of itself."
    return Section(title, intro, [page.columns(figure, table)])


def _prices(predictions: pd.DataFrame) -> Section:
    rows = _priced(predictions)
    if rows.empty:
        return Section("Prices", "", [page.text("No product has a known price.")])
    ratio = rows["predicted_price"] / rows["true_price"]
    by_band = rows.groupby("price_band", observed=True)
    bands = by_band["true_price"].min().sort_values().index
    table, ratios = [], []
    for band in bands:
        part = by_band.get_group(band)
        ratios.append(ratio.loc[part.index].to_numpy(dtype=float))
        table.append(
            {
                "True price": band,
                "Products": len(part),
                "RMSLE": rmsle(part["true_price"], part["predicted_price"]),
                "Median predicted ÷ true": float(np.median(ratios[-1])),
                "Within a factor of 1.5": float(np.mean(np.abs(np.log(ratios[-1])) <= np.log(1.5))),
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
    boxes = charts.price_ratios([str(b) for b in bands], ratios)
    blocks = [
        page.columns(
            page.figure(scatter, "Predicted against true price", f"{len(rows):,} products with a price."),
            page.figure(boxes, "Predicted to true price by band", "Box: half of the products; whiskers: 90 %."),
        ),
        page.table(table, formats),
    ]
    intro = "A model that is unsure predicts towards the middle: too high for cheap products, too low for dear ones."
    return Section("Prices", intro, blocks)


def _without_kinds(evaluation: Evaluation) -> Evaluation:
    """The evaluation without the AUC of single faults, which have a section of their own."""
    kinds = {FAULT_AUC + kind for kind in KINDS}
    return evaluation.model_copy(update={"metrics": {n: m for n, m in evaluation.metrics.items() if n not in kinds}})


def _faults(new: Evaluation, old: Evaluation | None) -> Section:
    """ROC-AUC of each kind of fault, the hardest first."""
    title = "Does it see what is wrong with a listing?"
    of_kind = {kind: new.metrics.get(FAULT_AUC + kind, Metric(value=None)) for kind in KINDS}
    measured = sorted((kind for kind in KINDS if of_kind[kind].value is not None), key=lambda kind: of_kind[kind].value or 0.0)
    if not measured:
        return Section(title, "", [page.text("Not measured: it takes whole listings, in which a fault can be put.")])
    before = {kind: old.metrics.get(FAULT_AUC + kind, Metric(value=None)) if old else Metric(value=None) for kind in KINDS}
    # The metric of unseen faults is that of the worst kind kept out of training; where two kinds tie, neither is marked.
    unseen = [kind for kind in measured if of_kind[kind] == new.metrics.get(f"{FAULT_AUC}unseen")]
    rows, tones = [], []
    for kind in measured:
        row, tone = _compared(of_kind[kind], before[kind] if old else None)
        remark = Badge("never shown in training", "warn") if unseen == [kind] else ""
        rows.append({"Fault": _readable(kind)} | row | {"": remark})
        tones.append(tone)
    drawing = charts.dots(
        [_readable(kind) for kind in measured],
        [of_kind[kind] for kind in measured],
        [before[kind] for kind in measured],
        None,
        "ROC-AUC",
    )
    intro = (
        "Each fault is put into unseen listings, and the quality score has to tell them from the same listings without it. "
        "1 is perfect, 0.5 is guessing. A kind that training was not shown says how well unforeseen faults are found."
    )
    absent = [_readable(kind) for kind in KINDS if kind not in measured]
    lines = [page.text(f"No listing here can carry: {', '.join(absent)}.")] if absent else []
    table = page.table(rows, {"ROC-AUC": ".3f", "Champion": ".3f", "Difference": "+.3f"}, tones=tones)
    return Section(title, intro, [page.figure(drawing, "ROC-AUC by kind of fault"), table, *lines])


def _sentiment(new: Evaluation, old: Evaluation | None) -> Section:
    """ROC-AUC of "recommended"."""
    title = "Does it understand reviews?"
    metric = new.metrics.get("sentiment_auc", Metric(value=None))
    if metric.value is None:
        missing = "Not measured: it was trained without reviews, or the data has none that it has not seen."
        return Section(title, "", [page.text(missing)])
    row, tone = _compared(metric, old.metrics.get("sentiment_auc", Metric(value=None)) if old else None)
    intro = 'Of a review that recommends the product and one that does not, how often the first gets the higher "recommended".'
    table = page.table(
        [{"Reviews": metric.n} | row], {"Reviews": ",d", "ROC-AUC": ".3f", "Champion": ".3f", "Difference": "+.3f"}, tones=[tone]
    )
    return Section(title, intro, [table])


def _compared(metric: Metric, champion: Metric | None) -> tuple[dict[str, Any], Tone | None]:
    """An AUC as cells of a table, with the champion's where there is one; bad where it is clearly lower."""
    between = None if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
    row: dict[str, Any] = {"ROC-AUC": metric.value, "95 % interval": between}
    if champion is None:
        return row, None
    difference = independent_difference(metric, champion)
    word = reading(difference, "higher")
    told = Badge(word, sections.TONES[word]) if word is not None and word in sections.TONES else word
    row |= {"Champion": champion.value, "Difference": difference.value, "Reading": told}
    return row, "bad" if word == "worse" else None


def _readable(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def _worst(predictions: pd.DataFrame, catalogue: Catalogue, worst: int, absent: Collection[str]) -> list[Section]:
    """The most confident wrong types and the largest price errors, with photos; of tasks that are not `absent`."""
    labelled, priced = _labelled(predictions), _priced(predictions)
    sure = labelled[~_hits(labelled)].sort_values("article_type_confidence", ascending=False, kind="stable").head(worst)
    error = (np.log(priced["predicted_price"]) - np.log(priced["true_price"])).abs()
    off = priced.loc[error.sort_values(ascending=False, kind="stable").index].head(WORST_PRICES)
    products = catalogue.products().drop_duplicates("product_id").set_index("product_id")["title"]
    titles = products[products.index.isin([*sure["product_id"], *off["product_id"]])]

    def items(rows: pd.DataFrame, lines: Callable[[Any], tuple[str, str]]) -> list[ImageItem]:
        found = []
        for row in rows.itertuples():
            title = titles.get(row.product_id)
            true, predicted = lines(row)
            tones: list[tuple[str, Tone | None]] = [(true, "good"), (predicted, "bad"), (f"product {row.product_id}", None)]
            label = title if isinstance(title, str) and title.strip() else "(no title)"
            found.append(ImageItem(catalogue.images.get(row.product_id), label, tones))
        return found

    def type_lines(row: Any) -> tuple[str, str]:
        return f"true: {row.true_article_type}", f"predicted: {row.predicted_article_type} ({row.article_type_confidence:.0%})"

    def price_lines(row: Any) -> tuple[str, str]:
        between = f"{money(row.price_low)}–{money(row.price_high)}"
        return f"true: {money(row.true_price)}", f"predicted: {money(row.predicted_price)} ({between})"

    blocks = []
    if "article_type_accuracy" not in absent:
        grid = page.image_grid(items(sure, type_lines), empty="No article type is wrong.")
        blocks += [page.text("Wrong article types, by confidence:"), grid]
    if "price_rmsle" not in absent:
        grid = page.image_grid(items(off, price_lines), empty="No product has a known price.")
        blocks += [page.text("Price errors, by ratio:"), grid]
    intro = "Some of these are mistakes of the catalogue: correct those at the source."
    return [Section("Worst errors", intro, blocks)] if blocks else []


def _labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["true_article_type"].notna()].reset_index(drop=True)


def _priced(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[(predictions["true_price"] > 0) & (predictions["predicted_price"] > 0)].reset_index(drop=True)


def _hits(rows: pd.DataFrame, level: str = "article_type") -> "pd.Series[bool]":
    return rows[f"true_{level}"].astype(object) == rows[f"predicted_{level}"].astype(object)


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    return calibration_bins(rows["article_type_confidence"], _hits(rows))
