"""The page of an assessed catalogue: how many listings may be published, where it lacks, and the worst ones with what to do."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from catalog.errors import ImageError
from catalog.images import decode
from catalog.listing import Listing
from models.evaluation import page
from models.evaluation.charts import histogram, spreads
from models.evaluation.page import Badge, Bar, Block, Card, KeyFigure, Section, Tone, Verdict
from models.quality.answers import AXES, Assessment
from models.quality.axes import readers
from models.quality.scoring import axis_column
from operations.assessed import TABLE, AssessingOutcome, Problem

SHOWN = 100
"""Listings on the page, the worst first: about 10 KB each with their photos."""
GROUPS, LISTED = 20, 100
"""Brands or types, and rows that could not be read, on the page."""
EVIDENCE, CHANGES = 4, 4
"""Sentences of evidence and improvements of a listing."""
LOW, MIDDLE = 0.5, 0.8
"""Scores of an axis below which its bar is red, and amber."""
PHOTO = (160, 240)
"""Largest height and width of a photo on the page, in pixels."""
READING = (
    "Every listing has a score from 0 to 1 for each axis that can be judged, and one overall score that grows with each of them. "
    "From the threshold on it may be published.",
    "Each improvement was applied to the listing, which was then scored again: the gain is what the overall score rises by, with "
    "this change alone.",
)


@dataclass(frozen=True)
class Shown:
    """A listing of the page.

    Attributes:
        product_id: Its id.
        listing: Without its photo.
        photo: Encoded; None where there is none.
        said: How good it is.
    """

    product_id: Any
    listing: Listing
    photo: bytes | None
    said: Assessment


def write_assessing_page(
    path: Path, outcome: AssessingOutcome, table: pd.DataFrame, shown: Sequence[Shown], problems: Sequence[Problem]
) -> None:
    """Write the page; `table` has a row an assessed product, `shown` are the worst of them from the worst on."""
    subtitle = f"{outcome.model} version {outcome.version}; data {outcome.data[:12]}; {outcome.assessed:,} of {outcome.n:,} rows"
    sections = [
        Section("How to read this page", blocks=[*map(page.text, READING), page.text(f"All listings are in {TABLE} beside it.")]),
        _axes(outcome, table),
        Section("By brand", f"The {GROUPS} brands with the most listings that are held back.", [_groups(table, "brand")]),
        Section("By type", f"The {GROUPS} types with the most listings that are held back.", [_groups(table, "article_type")]),
        Section(
            "The worst listings",
            f"The {len(shown)} lowest scores, the worst first, with what each axis rests on and what a change is worth.",
            [page.cards([_card(one) for one in shown])],
        ),
    ]
    if problems:
        sections.append(_problems(problems))
    page.write_page(path, page.render_page("Quality of a catalogue", subtitle, _verdict(outcome), sections))


def _verdict(outcome: AssessingOutcome) -> Verdict:
    text = f"{outcome.publish:,} of {outcome.assessed:,} listings may be published ({outcome.publish_share:.1%})"
    details = [f"Held back are listings that score below {outcome.threshold:.2f}."]
    tone: Tone = "warn" if outcome.hold else "good"
    if outcome.passed is not None:
        tone = "good" if outcome.passed else "bad"
        details.append(f"At least {outcome.require_share:.1%} was asked for: {'reached' if outcome.passed else 'missed'}.")
    if outcome.hold:
        details.append(
            f"{outcome.one_change_away:,} of {outcome.hold:,} that are held back are one change away from the threshold."
        )
    figures = [
        KeyFigure("to be published", f"{outcome.publish_share:.1%}"),
        KeyFigure("median score", f"{outcome.median_score:.2f}"),
        KeyFigure("one change away", f"{outcome.one_change_away:,}"),
        KeyFigure("probably listed twice", f"{outcome.duplicates:,}"),
    ]
    return Verdict(text, tone, details, figures)


def _axes(outcome: AssessingOutcome, table: pd.DataFrame) -> Section:
    scores = {axis: table[axis_column(axis)].dropna().to_numpy(dtype=np.float64) for axis in AXES}
    judged = [axis for axis in AXES if len(scores[axis])]
    rows = [
        {
            "axis": readers()[axis].label,
            "listings": len(scores[axis]),
            "median": float(np.median(scores[axis])),
            f"below {LOW}": float((scores[axis] < LOW).mean()),
            "lowest of its listing": outcome.worst_axes.get(axis, 0) / len(table),
        }
        for axis in judged
    ]
    formats = {"median": ".2f", f"below {LOW}": ".1%", "lowest of its listing": ".1%"}
    overall = histogram(table["score"].to_numpy(), outcome.threshold, "overall score", "held back", "published")
    by_axis = spreads([readers()[axis].label for axis in judged], [scores[axis] for axis in judged], "score")
    drawn = page.columns(
        page.figure(overall, "Distribution of the overall score", "The dashed line is the threshold."),
        page.figure(by_axis, "Distribution of each axis", "A box holds half of the listings, its whiskers 90 %."),
    )
    return Section("Where it lacks", "An axis that is often the lowest is where work pays.", [drawn, page.table(rows, formats)])


def _groups(table: pd.DataFrame, column: str) -> Block:
    rows = []
    named = table.dropna(subset=column)
    held = named[named["verdict"] == "hold"][column].value_counts()
    for name, count in held.head(GROUPS).items():
        group = named[named[column] == name]
        worst = group[group["verdict"] == "hold"]["worst_axis"].value_counts()
        rows.append(
            {
                column.replace("_", " "): str(name),
                "listings": len(group),
                "held back": int(count),
                "share": count / len(group),
                "median score": float(group["score"].median()),
                "what is lowest most often": readers()[worst.index[0]].label if len(worst) else None,
            }
        )
    return page.table(rows, {"share": ".1%", "median score": ".2f"}, empty="No listing is held back.")


def _card(one: Shown) -> Card:
    said, listing = one.said, one.listing
    facts = [f"product {one.product_id}", listing.fields.get("brand"), said.article_type]
    axes = sorted(said.axes, key=lambda axis: said.axes[axis].score)
    evidence = [evidence.text for axis in axes if said.axes[axis].score < MIDDLE for evidence in said.axes[axis].evidence[:2]]
    changes = [f"{change.text} +{change.gain:.3f} → {change.score_after:.3f}" for change in said.improvements[:CHANGES]]
    return Card(
        image=_small(one.photo),
        title=listing.title or "(no title)",
        subtitle=", ".join(fact for fact in facts if fact),
        badge=Badge(f"{said.score:.2f} {said.verdict}", "good" if said.verdict == "publish" else "bad"),
        bars=[Bar(readers()[axis].label, said.axes[axis].score, _tone(said.axes[axis].score)) for axis in axes],
        paragraphs={
            "What it rests on": [(text, None) for text in evidence[:EVIDENCE]],
            "What would raise the score, each alone": [(text, None) for text in changes],
            "Not judged": [(f"{readers()[axis].label}: {why}", None) for axis, why in said.left_out.items()],
        },
    )


def _tone(score: float) -> Tone:
    return "bad" if score < LOW else "warn" if score < MIDDLE else "good"


def _small(photo: bytes | None) -> bytes | None:
    """A JPEG of a few KB; None where there is no photo, or none that can be decoded."""
    if photo is None:
        return None
    try:
        pixels = decode(photo, max_side=max(PHOTO))
    except ImageError:
        return None
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((PHOTO[1], PHOTO[0]))
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _problems(problems: Sequence[Problem]) -> Section:
    rows = [{"row": p.row, "product": p.product_id, "what became of it": p.effect, "why": p.why} for p in problems[:LISTED]]
    formats: dict[str, page.Format] = {"row": "d", "product": str}
    title = f"Rows that could not be read: {len(problems):,}"
    intro = f"The first {len(rows)} of them; the row is its position in the table, from 0 on."
    return Section(title, intro, [page.table(rows, formats)])
