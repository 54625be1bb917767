"""What challenger and champion answer to the same questions of the same tasks."""

from typing import Any

import pandas as pd

from models.evaluation.comparison import shared_rows
from models.evaluation.examples import pick
from models.evaluation.page import Beside, Side, Tone
from models.fewshot.pictures import Pictures


def side_by_side(frame: pd.DataFrame, champion: pd.DataFrame | None, pictures: Pictures) -> list[Beside]:
    """Examples: products that were asked about in tasks of which both evaluations keep the answers."""
    if champion is None:
        return []
    new, old = shared_rows(_asked(frame), _asked(champion), "question")
    right, was_right = (_is_right(rows) for rows in (new, old))
    lost, won = was_right & ~right, right & ~was_right
    shown = []
    for key in pick(new.index[lost], new.index[won], new.index[~right & ~was_right]):
        item = pictures.item(str(new.loc[key, "product_id"]))
        true = new.loc[key, "true"]
        judged = ((new, right), (old, was_right))
        now, before = (Side([_line(rows.loc[key], bool(hit[key]))]) for rows, hit in judged)
        note = f"true: {true}" if isinstance(true, str) else "true: none of the classes"
        shown.append(Beside(item.title, note, now, before, item.image))
    return shown


def _asked(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[frame["kind"] == "asked"]
    return rows.assign(question=rows["episode"].astype(str) + " " + rows["product_id"].astype(str))


def _is_right(rows: pd.DataFrame) -> "pd.Series[bool]":
    rejected, stranger = rows["stranger"] > 0.5, rows["true"].isna()
    return (stranger & rejected) | (~stranger & ~rejected & (rows["true"] == rows["answered"]))


def _line(row: "pd.Series[Any]", right: bool) -> tuple[str, Tone | None]:
    said = "none of the classes" if row["stranger"] > 0.5 else f"{row['answered']} ({row['probability']:.0%})"
    return said, "good" if right else "bad"
