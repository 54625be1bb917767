"""The page from which a reviewer decides on a describer: is what it states given, is what is given stated, how does it read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from models.describer.answers import Fact
from models.describer.beside import side_by_side
from models.describer.evaluate import OWN, paired_differences
from models.describer.names import NAMES, PEERS
from models.describer.shown import Shown, read_row
from models.evaluation import page, sections
from models.evaluation.bootstrap import SAMPLES
from models.evaluation.comparison import shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.page import Block, ImageItem, Section, Tone
from models.evaluation.verdict import Headline
from models.family import EvaluationRun

SHOWN = 24
"""Descriptions on the page: first those that state what is not given or leave most unsaid, then others."""

WORST = SHOWN // 2
LABELS = {"seo_title": "Title", "meta_description": "Meta description", "description": "Description", "bullets": "Bullet"}


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    playground: str | None = None,
) -> Headline:
    """Write the page to the file `out`, and return what it says first."""
    new, old = run.evaluation, champion.evaluation if champion else None
    differences = None
    if champion and old:
        paired = paired_differences(*shared_rows(run.predictions, champion.predictions), SAMPLES)
        differences = sections.differences_of(new, old, paired, NAMES)
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        *sections.beside_simple_models(new, NAMES),
        sections.slices(new, old, NAMES),
        _unsaid(run.predictions),
        *_descriptions(run.predictions, catalogue),
    ]
    examples, risks = side_by_side(run, champion, catalogue)
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "products", examples=examples, risks=risks, playground=playground
    )


def _unsaid(frame: pd.DataFrame) -> Section:
    """Which facts are left unsaid most often."""
    facts = [fact.name for text in frame["own_text"] for fact in read_row(text).unsaid]
    counts = pd.Series(facts, dtype=object).value_counts().head(15)
    rows = [{"Fact": name, "Products": int(count), "Share": count / len(frame)} for name, count in counts.items()]
    table = page.table(rows, {"Share": ".1%"}, empty="Every given fact was stated.")
    return Section("What is left unsaid?", "Given facts that no sentence states, by name.", [table])


def _descriptions(frame: pd.DataFrame, catalogue: Catalogue) -> list[Section]:
    """Texts to read: the weakest, then others in the order of measuring."""
    order = frame.assign(unsaid=frame["given"] - frame["said"]).sort_values(["added", "unsaid"], ascending=False, kind="stable")
    worst = order.head(WORST)
    others = frame[~frame["product_id"].isin(worst["product_id"])].head(SHOWN - len(worst))
    images = {str(key): key for key in catalogue.products()["product_id"]}
    intro = "Each sentence with the facts that it states; one that is empty on the right states none."
    return [
        Section(title, intro, [block for _, row in part.iterrows() for block in _product(row, catalogue, images)])
        for title, part in (("The weakest descriptions", worst), ("Other descriptions", others))
        if len(part)
    ]


def _product(row: "pd.Series[Any]", catalogue: Catalogue, images: dict[str, Any]) -> Sequence[Block]:
    """One product: its photo, its texts, and what the peers wrote."""
    own = read_row(row[f"{OWN or 'own'}_text"])
    photo = catalogue.images.get(images[row["product_id"]]) if row["product_id"] in images else None
    told: list[tuple[str, Tone | None]] = [
        (f"{int(row['supported'])} of {int(row['stated'])} stated values are given", "bad" if row["added"] else "good"),
        (f"{int(row['said'])} of {int(row['given'])} given facts are stated", None),
    ]
    told += [(f"unsaid: {_facts(own.unsaid)}", "warn")] if own.unsaid else []
    grid = page.image_grid([ImageItem(photo, row["title"] or row["product_id"], told)])
    peers = [
        {"Written by": what, "Text": _body(read_row(row[f"{peer}_text"]))}
        for peer, what in PEERS.items()
        if f"{peer}_text" in row
    ]
    peers.append({"Written by": "the shop", "Text": row["shop_text"] or "–"})
    return [page.columns(grid, page.table(_sentences(own))), page.table(peers)]


def _sentences(shown: Shown) -> list[dict[str, str]]:
    return [
        {"Part": LABELS[part], "Sentence": sentence.text, "States": _facts(sentence.facts)}
        for part, sentences in shown.parts.items()
        for sentence in sentences
    ]


def _body(shown: Shown) -> str:
    return " ".join(sentence.text for part in ("description", "bullets") for sentence in shown.parts[part])


def _facts(facts: Sequence[Fact]) -> str:
    return ", ".join(f"{fact.name}: {fact.value}" for fact in facts)
