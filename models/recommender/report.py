"""The page from which a reviewer decides on a recommender: is it better, where is it worse, may I ship it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation import charts, page, sections
from models.evaluation.bootstrap import mean_interval
from models.evaluation.comparison import independent_difference, reading, shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.page import Badge, Section, Tone
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline, figure
from models.family import EvaluationRun
from models.recommender import part as parts
from models.recommender.beside import keys_of, side_by_side
from models.recommender.evaluate import DIVERSITIES, MEANS, TIERS
from models.recommender.names import NAMES

EXAMPLES = 4
"""Users shown of each kind."""

EXAMPLE_HISTORY = 6
EXAMPLE_BOUGHT = 8
LONGEST_TITLE = 30
MISSING = Metric(value=None)

TIER_NAMES = {"head": "best sellers", "middle": "middle", "tail": "slow sellers"}


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
    shared = shared_rows(run.predictions, champion.predictions, "user_id") if champion else None
    differences = sections.differences_of(new, old, paired_differences(*shared), NAMES) if old and shared else None
    whole, before = run.evaluation, champion.evaluation if champion else None
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        *sections.beside_simple_models(new, NAMES),
        _parts(whole, before),
        sections.slices(new, old, NAMES),
        *([_changes(*shared)] if shared else []),
        _diversity(whole, before),
        _popularity(whole, before, run.predictions),
        _examples(run.predictions, shared, catalogue),
    ]
    examples, risks = side_by_side(shared, catalogue, _titles(catalogue, keys_of(shared)))
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "users", examples=examples, risks=risks, playground=playground
    )


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of the metrics that are means over users, from two frames of the same users in one order."""
    change = new[list(MEANS)].astype(float) - old[list(MEANS)].astype(float)
    return {name: mean_interval(change[name].dropna()) for name in MEANS}


def _main(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what has a section of its own: parts, diversity and popularity."""
    kept = {name: m for name, m in evaluation.metrics.items() if "." not in name or NAMES.is_peer(name)}
    return evaluation.model_copy(update={"metrics": kept})


def _parts(new: Evaluation, old: Evaluation | None) -> Section:
    """Each part alone, the best first, below the blend."""
    title = "What does each part add?"
    found = {name.removesuffix(".weight"): m for name, m in new.metrics.items() if name.endswith(".weight")}
    if not found:
        return Section(title, "", [page.text("Not measured.")])

    def of(part: str, metric: str, evaluation: Evaluation | None = new) -> Metric:
        name = f"{part}.{metric}" if part else metric
        return evaluation.metrics.get(name, MISSING) if evaluation else MISSING

    order = sorted(found, key=lambda part: -(of(part, "ndcg_at_10").value or 0.0))
    rows: list[dict[str, Any]] = []
    tones: list[Tone | None] = []
    for part in ["", *order]:
        above = reading(independent_difference(of(part, "ndcg_at_10"), of("", "ndcg_at_10")), "higher") == "better"
        row: dict[str, Any] = {"Part": _part_name(part), "Weight": found[part].value if part else None}
        row |= {NAMES.label(m): of(part, m).value for m in ("ndcg_at_10", "recall_at_20", "hit_rate_at_10", "mrr")}
        row |= {"Coverage": of(part, "coverage").value, "Novelty": of(part, "novelty").value}
        row["Diversity"] = of(part, "intra_list_diversity").value
        rows.append(row | {"": Badge("better than the blend", "bad") if above else ""})
        tones.append("bad" if above else None)
    formats: dict[str, page.Format] = dict.fromkeys(list(rows[0])[2:-1], figure)
    pictures = [
        page.figure(
            charts.dots(
                [_part_name(part) for part in order],
                [of(part, metric) for part in order],
                [of(part, metric, old) for part in order],
                of("", metric).value,
                NAMES.label(metric),
                line="the blend",
            ),
            f"{NAMES.label(metric)} of each part",
        )
        for metric in ("ndcg_at_10", "recall_at_20")
    ]
    intro = (
        "Each part alone, on the same users. Weights were learned on purchases held out of training: those of the scores over "
        "their spread. A part of weight 0 is kept for comparison only. A part that is clearly better than the blend means that "
        "the weights do not fit these users."
    )
    table = page.table(rows, formats | {"Weight": ".3g"}, tones=tones)
    return Section(title, intro, [page.columns(*pictures), table])


def _part_name(part: str) -> str:
    """Readable; a version may have parts that are no longer there."""
    if not part:
        return "The blend"
    return parts.get(part).label if part in parts.names() else part


def _changes(new: pd.DataFrame, old: pd.DataFrame) -> Section:
    """Users for whom something is found now and was not, and the other way round, by activity."""
    now, before = new["hit_rate_at_10"] > 0, old["hit_rate_at_10"] > 0
    counts = pd.DataFrame({"band": new["activity"], "now": now, "before": before, "won": now & ~before, "lost": before & ~now})
    by_band = counts.groupby("band", observed=True).agg(
        Users=("now", "size"), now=("now", "mean"), before=("before", "mean"), Won=("won", "sum"), Lost=("lost", "sum")
    )
    by_band["Net"] = by_band["Won"] - by_band["Lost"]
    readable = {"band": "Items in the history", "now": "Hit rate now", "before": "Champion's"}
    table = by_band.rename_axis("band").reset_index().astype({"band": str}).rename(columns=readable)
    intro = (
        f"Of {len(new):,} shared users, {int(counts['won'].sum()):,} find among 10 items something they bought and did not with "
        f"the champion; {int(counts['lost'].sum()):,} did with the champion and do not now."
    )
    formats: dict[str, page.Format] = {"Hit rate now": ".3f", "Champion's": ".3f", "Net": "+d", "Users": ",d"}
    return Section("What changed against the champion", intro, [page.table(table, formats, empty="No user is shared.")])


def _diversity(new: Evaluation, old: Evaluation | None) -> Section:
    """The curve, and its points as a table."""
    title = "What does diversity cost?"

    def points(evaluation: Evaluation | None) -> list[tuple[Metric, Metric]]:
        names = [f"diversity_{round(100 * diversity)}" for diversity in DIVERSITIES]
        metrics = evaluation.metrics if evaluation else {}
        found = [(metrics.get(f"{n}.intra_list_diversity", MISSING), metrics.get(f"{n}.ndcg_at_10", MISSING)) for n in names]
        return found if any(up.value is not None for _, up in found) else []

    current = points(new)
    if not current:
        return Section(title, "", [page.text("Not measured.")])
    first = current[0][1].value
    labels = [f"{diversity:g}" for diversity in DIVERSITIES]
    rows = [
        {
            "Asked": diversity,
            "Within a list": unlike.value,
            "nDCG@10": ndcg.value,
            "Kept": ndcg.value / first if first and ndcg.value is not None else None,
        }
        for diversity, (unlike, ndcg) in zip(DIVERSITIES, current, strict=True)
    ]
    drawing = charts.trade_off(labels, current, points(old), "diversity within a list", "nDCG@10")
    formats: dict[str, page.Format] = {"Asked": "g", "Within a list": ".3f", "nDCG@10": ".3f", "Kept": ".0%"}
    intro = (
        "A request may ask for diversity, from 0 (by score alone) to 1. Each point is one value of it, as served to "
        f"{current[0][1].n:,} users: to the right, lists are more varied; further down, they hold less of what was bought. "
        "Kept: nDCG@10 as a share of that at 0."
    )
    figure = page.figure(drawing, "nDCG@10 against diversity within a list")
    return Section(title, intro, [page.columns(figure, page.table(rows, formats))])


def _popularity(new: Evaluation, old: Evaluation | None, predictions: pd.DataFrame) -> Section:
    """Shares of best sellers and slow sellers in what was bought and what is shown."""
    title = "Does it only show best sellers?"

    def of(evaluation: Evaluation, name: str) -> list[Metric]:
        return [evaluation.metrics.get(f"{name}.{tier}", MISSING) for tier in TIERS]

    series = {"bought": of(new, "bought"), "shown": of(new, "shown")}
    if old:
        series["champion shows"] = of(old, "shown")
    if all(metric.value is None for metric in series["shown"]):
        return Section(title, "", [page.text("Not measured.")])
    groups = [TIER_NAMES[tier] for tier in TIERS]
    rows = [
        {"Items": group.capitalize()} | {name.capitalize(): metrics[place].value for name, metrics in series.items()}
        for place, group in enumerate(groups)
    ]
    intro = (
        "Best sellers are the items that hold the first fifth of all training purchases, slow sellers those that hold the last. "
        "Where far more best sellers are shown than bought, the rest of the catalogue is hard to find."
    )
    if unknown := int(predictions["unknown"].sum()):
        share = unknown / predictions["relevant"].sum()
        intro += f" {share:.1%} of what was bought are items that this version does not know: it cannot show them."
    table = page.table(rows, {name.capitalize(): ".1%" for name in series})
    figure = page.figure(charts.shares(groups, series), "Shares of best sellers, middle and slow sellers, bought and shown")
    return Section(title, intro, [page.columns(figure, table)])


def _examples(predictions: pd.DataFrame, shared: tuple[pd.DataFrame, pd.DataFrame] | None, catalogue: Catalogue) -> Section:
    """Users drawn at random: some found, some missed, some lost against the champion."""
    title = "Who is shown what?"
    named = predictions[predictions["predicted"].notna()].set_index("user_id")
    if named.empty:
        return Section(title, "", [page.text("No user's items are named.")])
    hit = named["hit_rate_at_10"] > 0
    kinds = {"Something was found": named[hit], "Nothing was found": named[~hit]}
    if shared:
        new, old = shared
        lost = new.index[(new["hit_rate_at_10"] == 0) & (old["hit_rate_at_10"] > 0)]
        kinds["Found by the champion, and not now"] = named[named.index.isin(lost)]
    drawn = {name: rows.sample(min(EXAMPLES, len(rows)), random_state=0) for name, rows in kinds.items()}
    cells = [cell for rows in drawn.values() for column in ("history", "predicted", "true") for cell in rows[column]]
    titles = _titles(catalogue, {key for cell in cells for key in cell})
    tables = [
        page.table([_example(user, row, titles) for user, row in rows.iterrows()], caption=name, empty=f"{name}: no user.")
        for name, rows in drawn.items()
    ]
    intro = "Users drawn at random. Histories are newest first; green is what was shown and bought."
    return Section(title, intro, tables)


def _example(user: Any, row: "pd.Series[Any]", titles: Mapping[str, str]) -> dict[str, Any]:
    """One user as a row of a table."""
    history, shown, bought = (list(row[column]) for column in ("history", "predicted", "true"))
    both = set(shown) & set(bought)

    def cell(keys: Sequence[str], marked: bool, more: int, what: str, numbered: bool = False) -> Any:
        lines: list[tuple[str, Tone | None]] = []
        for place, key in enumerate(keys, 1):
            name = titles.get(key, f"item {key}")
            lines.append((f"{place}. {name}" if numbered else name, "good" if marked and key in both else None))
        return page.lines([*lines, *([(f"and {more:,} {what}", None)] if more > 0 else [])])

    old = history[:EXAMPLE_HISTORY]
    found = sorted(bought, key=lambda key: key not in both)[:EXAMPLE_BOUGHT]
    return {
        "User": str(user),
        "Did before": cell(old, False, int(row["history_length"]) - len(old), "before"),
        "Was shown": cell(shown, True, 0, "", numbered=True) if shown else "nothing",
        "Bought next": cell(found, True, int(row["relevant"]) - len(found), "more"),
    }


def _titles(catalogue: Catalogue, keys: set[str]) -> dict[str, str]:
    """Readable titles of the items that have one, cut to `LONGEST_TITLE`."""
    if "products" not in catalogue.tables():
        return {}
    products = catalogue.read("products", ["product_id", "title"])
    products = products.assign(key=products["product_id"].astype(str)).drop_duplicates("key")
    told = products[products["key"].isin(keys) & (products["title"].fillna("").str.strip() != "")]
    short = [title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1].rstrip()}…" for title in told["title"]]
    return dict(zip(told["key"], short, strict=True))
