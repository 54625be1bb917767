"""What challenger and champion show to the same users."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation.examples import pick, turned
from models.evaluation.page import Beside, Side, Tone

SHOWN = 3
"""Items of each list."""


def side_by_side(
    shared: tuple[pd.DataFrame, pd.DataFrame] | None, catalogue: Catalogue, titles: Mapping[str, str]
) -> tuple[list[Beside], list[str]]:
    """Examples, of users whose items both evaluations name, and the risk that all users tell of."""
    if shared is None:
        return [], []
    new, old = shared
    now, before = new["hit_rate_at_10"] > 0, old["hit_rate_at_10"] > 0
    lost, won = before & ~now, now & ~before
    named = new["predicted"].notna() & old["predicted"].notna()
    chosen = pick(new.index[named & lost], new.index[named & won], new.index[named & now])
    shown = [_example(user, new.loc[user], old.loc[user], catalogue, titles) for user in chosen]
    return shown, turned(int(lost.sum()), int(won.sum()), len(new), "users")


def keys_of(shared: tuple[pd.DataFrame, pd.DataFrame] | None) -> set[str]:
    """Items of which examples need the titles."""
    columns = [frame[column].dropna() for frame in shared or () for column in ("predicted", "true")]
    return {str(key) for column in columns for cell in column for key in cell}


def _example(user: Any, new: Any, old: Any, catalogue: Catalogue, titles: Mapping[str, str]) -> Beside:
    bought = [str(key) for key in new["true"]]
    first = next((key for key in bought if key in titles), bought[0] if bought else "")
    challenger, champion = (Side(_lines(row["predicted"], set(bought), titles)) for row in (new, old))
    photo = catalogue.images.get(first) if "images" in catalogue.tables() else None
    return Beside(f"user {user}", f"bought next: {titles.get(first, f'item {first}')}", challenger, champion, photo)


def _lines(predicted: Sequence[Any], bought: set[str], titles: Mapping[str, str]) -> list[tuple[str, Tone | None]]:
    """What was found, wherever it stands, and the first others."""
    shown = [str(key) for key in predicted]
    found = [key for key in shown if key in bought]
    first = [*found, *(key for key in shown if key not in bought)][:SHOWN]
    return [(f"{shown.index(key) + 1}. {titles.get(key, f'item {key}')}", "good" if key in bought else None) for key in first]
