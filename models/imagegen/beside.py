"""What challenger and champion draw for the same titles."""

from typing import Any

import pandas as pd

from models.evaluation.comparison import shared_rows
from models.evaluation.examples import pick
from models.evaluation.page import Beside, Side, Tone
from models.imagegen.judge.judge import COLOUR, TYPE


def side_by_side(rows: pd.DataFrame, champion: pd.DataFrame | None) -> tuple[list[Beside], list[str]]:
    """Examples, of products whose images score most differently, and the risk that photos are copied."""
    if champion is None:
        return [], []
    new, old = shared_rows(rows, champion)
    change = (new["overall"] - old["overall"]).astype(float)
    order = change.sort_values(kind="stable").index
    chosen = pick([key for key in order if change[key] < 0], [key for key in order[::-1] if change[key] > 0], order)
    shown = [
        Beside(
            str(new.loc[key, "title"]),
            "beside the real photo",
            Side(_lines(new.loc[key]), new.loc[key, "image"]),
            Side(_lines(old.loc[key]), old.loc[key, "image"]),
            new.loc[key, "photo"],
        )
        for key in chosen
    ]
    copied, before = (int(frame["copied"].astype(bool).sum()) for frame in (new, old))
    return shown, [f"{copied:,} images are copies of photos, {before:,} of the champion's"] if copied > before else []


def _lines(row: "pd.Series[Any]") -> list[tuple[str, Tone | None]]:
    lines: list[tuple[str, Tone | None]] = [(f"score {row['overall']:.2f}", None)]
    for label in (TYPE, COLOUR):
        seen = row.get(f"seen_{label}")
        if isinstance(seen, str):
            lines.append((f"seen: {seen}", "good" if seen == row[label] else "bad"))
    return lines
