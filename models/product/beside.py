"""What challenger and champion say of the same products: article types and prices."""

from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation.comparison import shared_rows
from models.evaluation.examples import pick, turned
from models.evaluation.page import Beside, Side, Tone
from models.family import EvaluationRun

TYPE, PRICE = "article_type_accuracy", "price_rmsle"


def side_by_side(run: EvaluationRun, champion: EvaluationRun | None, catalogue: Catalogue) -> tuple[list[Beside], list[str]]:
    """Examples, and the risk that they stand for; only of what both have a task for."""
    if champion is None:
        return [], []
    absent = run.evaluation.not_applicable.keys() | champion.evaluation.not_applicable.keys()
    new, old = shared_rows(run.predictions, champion.predictions)
    lost = won = known = pd.Series(False, index=new.index)
    if TYPE not in absent:
        known = new["true_article_type"].notna()
        right, was_right = (known & (rows["predicted_article_type"] == rows["true_article_type"]) for rows in (new, old))
        lost, won = was_right & ~right, right & ~was_right
    off = _off(new, old) if PRICE not in absent else pd.Series(dtype=float)
    chosen = pick(_surest(old[lost]), _surest(new[won]), off.abs().sort_values(ascending=False, kind="stable").index)
    products = catalogue.products().drop_duplicates("product_id").set_index("product_id")["title"]
    shown = [_example(key, new.loc[key], old.loc[key], products.get(key), catalogue, absent) for key in chosen]
    return shown, turned(int(lost.sum()), int(won.sum()), int(known.sum()), "products")


def _surest(rows: pd.DataFrame) -> "pd.Index[Any]":
    if rows.empty:
        return rows.index
    return rows.sort_values("article_type_confidence", ascending=False, kind="stable").index


def _off(new: pd.DataFrame, old: pd.DataFrame) -> "pd.Series[float]":
    """By how much the errors of prices differ, as logarithms of ratios."""
    priced = (new["true_price"] > 0) & (new["predicted_price"] > 0) & (old["predicted_price"] > 0)
    true = new["true_price"][priced]
    now, before = (np.abs(np.log((rows["predicted_price"][priced] / true).to_numpy(dtype=float))) for rows in (new, old))
    return pd.Series(now - before, index=true.index)


def _example(key: Any, new: Any, old: Any, title: Any, catalogue: Catalogue, absent: Any) -> Beside:
    true = []
    if TYPE not in absent and isinstance(new["true_article_type"], str):
        true.append(new["true_article_type"])
    if PRICE not in absent and new["true_price"] > 0:
        true.append(money(new["true_price"]))
    name = title if isinstance(title, str) and title.strip() else f"product {key}"
    challenger, champion = (Side(_lines(row, absent)) for row in (new, old))
    return Beside(name, f"true: {', '.join(true)}" if true else "", challenger, champion, catalogue.images.get(key))


def _lines(row: Any, absent: Any) -> list[tuple[str, Tone | None]]:
    lines: list[tuple[str, Tone | None]] = []
    if TYPE not in absent and isinstance(row["predicted_article_type"], str):
        tone: Tone = "good" if row["predicted_article_type"] == row["true_article_type"] else "bad"
        lines.append((f"{row['predicted_article_type']} ({row['article_type_confidence']:.0%})", tone))
    if PRICE not in absent and row["predicted_price"] > 0:
        lines.append((f"price {money(row['predicted_price'])}", None))
    return lines


def money(value: float) -> str:
    """A price, to the hundredth where it is small."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
