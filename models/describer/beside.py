"""What challenger and champion write of the same products."""

from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from models.describer.shown import read_row
from models.evaluation.comparison import shared_rows
from models.evaluation.examples import pick
from models.evaluation.page import Beside, Side, Tone
from models.family import EvaluationRun


def side_by_side(run: EvaluationRun, champion: EvaluationRun | None, catalogue: Catalogue) -> tuple[list[Beside], list[str]]:
    """Examples, of products of which more or less that is given is stated, and the risk that what is not given is stated."""
    if champion is None:
        return [], []
    new, old = shared_rows(run.predictions, champion.predictions)
    gain = (new["said"] - old["said"]) - (new["added"] - old["added"])
    order = gain.sort_values(kind="stable").index
    chosen = pick([key for key in order if gain[key] < 0], [key for key in order[::-1] if gain[key] > 0], order)
    keys = {str(key): key for key in catalogue.products()["product_id"]}
    shown = [
        Beside(
            new.loc[key, "title"] or f"product {key}",
            f"{int(new.loc[key, 'given'])} facts are given",
            Side(_lines(new.loc[key])),
            Side(_lines(old.loc[key])),
            catalogue.images.get(keys[str(key)]) if str(key) in keys else None,
        )
        for key in chosen
    ]
    worse = int(((new["added"] > 0) & (old["added"] == 0)).sum())
    of = f"{worse:,} of {len(new):,} products of which the champion states nothing that is not given"
    return shown, [f"{of}: now something is"] if worse else []


def _lines(row: "pd.Series[Any]") -> list[tuple[str, Tone | None]]:
    parts = read_row(row["own_text"]).parts
    text = " ".join(sentence.text for part in ("description", "bullets") for sentence in parts[part])
    stated = f"states {int(row['said'])} of them" + (f", and {int(row['added'])} that are not given" if row["added"] else "")
    return [(stated, "bad" if row["added"] else "good"), (text, None)]
