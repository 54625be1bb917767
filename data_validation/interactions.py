"""What the expectations of purchases, events and item attributes look at beside the delivered columns; see `measures`.

Two things give a bot away. The number of its rows: people's counts are skewed, so the bound is set on a log scale by the
median and the 90th percentile, which up to a tenth of bots cannot move. And its speed, where times are known: more
purchases within a minute than a person can make. Purchases of the same second are one basket, so a date without a time
of day makes nobody a bot.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from configs.schema import ValidationConfig
from data_validation.findings import absent, finding, nothing, texts

_MINUTE = 60
_LEAST_SPREAD = 1.5
"""90th percentile over median where all users do the same."""


def purchases(catalogue: Catalogue, table: str, config: ValidationConfig, latest: pd.Timestamp) -> pd.DataFrame:
    """Rows of purchases or purchases_test; times after `latest` are in the future."""
    frame = catalogue.read(table)
    order = [c for c in ("timestamp", "position") if c in frame]
    frame["unknown_item"] = unknown(catalogue, frame["item_id"], ("products",))
    frame["undescribed_item"] = nothing(frame.index)
    if "products" not in catalogue.tables():
        frame["undescribed_item"] = unknown(catalogue, frame["item_id"], ("item_attributes",))
    frame["repeated_row"] = finding(frame.duplicated(["user_id", "item_id", *order]), "repeats an earlier row")
    frame["too_many"] = too_many(frame["user_id"], config.max_user_purchases, config)
    if "timestamp" in order:
        _add_times(frame, latest, config.max_purchases_a_minute)
    if "position" in order:
        tied = frame.duplicated(["user_id", "position"], keep=False) & frame["repeated_row"].isna()
        frame["position_tie"] = finding(tied, "shares position " + frame.loc[tied, "position"].astype(str))
    if len(order) == 2:
        frame["order_conflict"] = _order_conflicts(frame)
    if table == "purchases_test":
        _add_comparison(catalogue, frame)
    return frame


def events(catalogue: Catalogue, config: ValidationConfig, latest: pd.Timestamp) -> pd.DataFrame:
    """Rows of events; times after `latest` are in the future."""
    frame = catalogue.read("events")
    frame["unknown_item"] = unknown(catalogue, frame["item_id"], ("products",))
    frame["unsold_item"] = nothing(frame.index)
    if "products" not in catalogue.tables():
        frame["unsold_item"] = unknown(catalogue, frame["item_id"], ("purchases", "item_attributes"))
    frame["repeated_row"] = finding(frame.duplicated(["user_id", "item_id", "kind", "timestamp"]), "repeats an earlier row")
    frame["too_many"] = too_many(frame["user_id"], config.max_user_events, config)
    _add_times(frame, latest, config.max_events_a_minute)
    return frame


def item_attributes(catalogue: Catalogue) -> pd.DataFrame:
    """Rows of item_attributes."""
    frame = catalogue.read("item_attributes")
    frame["unknown_item"] = unknown(catalogue, frame["item_id"], ("products",))
    frame["unsold_item"] = nothing(frame.index)
    if "products" not in catalogue.tables():
        frame["unsold_item"] = unknown(catalogue, frame["item_id"], ("purchases",))
    frame["repeated_row"] = finding(frame.duplicated(["item_id", "attribute_id"]), "repeats an earlier row")
    return frame


def unknown(catalogue: Catalogue, item: "pd.Series[Any]", tables: Sequence[str]) -> "pd.Series[Any]":
    """Items that none of the `tables` which are there has; no finding where none of them is there."""
    there = [table for table in tables if table in catalogue.tables()]
    if not there:
        return nothing(item.index)
    known = set[str]().union(*(_keys(catalogue, table, "product_id" if table == "products" else "item_id") for table in there))
    strange = absent(item, known)
    return finding(strange, f"{' or '.join(there)} without item " + texts(item[strange]))


def too_many(user: "pd.Series[Any]", most: int, config: ValidationConfig) -> "pd.Series[Any]":
    """Rows of the users with more rows than people have, `most` at the utmost."""
    counts = user.value_counts()
    if counts.empty:
        return nothing(user.index)
    bound = min(most, max(config.min_bot_rows, plausible(counts.to_numpy(), config.bot_distance)))
    bots = counts[counts > bound]
    rows = user.map(bots)
    said = {count: f"{count:,} rows of one user, plausible are up to {bound:,}" for count in bots.unique()}
    return finding(rows.notna(), rows.map(said))


def plausible(counts: np.ndarray[Any, Any], distance: float) -> int:
    """The most rows that a user of such a crowd may have, by the median and the 90th percentile of all users' counts."""
    median, high = np.quantile(counts, [0.5, 0.9])
    return int(min(median * max(high / median, _LEAST_SPREAD) ** distance, 2.0**62))


def bursts(user: "pd.Series[Any]", timestamp: "pd.Series[Any]", most: int) -> "pd.Series[bool]":
    """Rows of a user that lie in a minute with more than `most` different seconds in which the user did something."""
    given = user.notna() & timestamp.notna()
    seconds = timestamp[given].dt.as_unit("s").astype("int64").to_numpy()
    acts = pd.DataFrame({"user": pd.factorize(user[given])[0], "second": seconds})
    distinct = acts.drop_duplicates().sort_values(["user", "second"], ignore_index=True)
    first, last = distinct.iloc[: max(0, len(distinct) - most)], distinct.iloc[most:]
    fast = first["user"].to_numpy() == last["user"].to_numpy()
    fast &= last["second"].to_numpy() - first["second"].to_numpy() < _MINUTE
    starts = np.flatnonzero(fast)
    edges = np.bincount(starts, minlength=len(distinct) + 1) - np.bincount(starts + most + 1, minlength=len(distinct) + 1)
    distinct["burst"] = np.cumsum(edges)[: len(distinct)] > 0
    found = pd.Series(False, user.index)
    found[given] = acts.merge(distinct, how="left", on=["user", "second"])["burst"].to_numpy()
    return found


def _add_times(frame: pd.DataFrame, latest: pd.Timestamp, most: int) -> None:
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True)
    late = frame["timestamp"] > latest
    frame["in_future"] = finding(late, frame.loc[late, "timestamp"].astype(str))
    frame["burst"] = finding(bursts(frame["user_id"], frame["timestamp"], most), f"one of more than {most} within a minute")


def _order_conflicts(frame: pd.DataFrame) -> "pd.Series[Any]":
    ordered = frame.sort_values(["user_id", "position"], kind="stable")
    inverted = ordered.groupby("user_id")["timestamp"].diff() < pd.Timedelta(0)
    return finding(inverted.reindex(frame.index), "earlier than the position before it")


def _add_comparison(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    """Which rows of purchases_test are in purchases, and which users and items are not."""
    for column in ("seen_in_training", "new_user", "new_item"):
        frame[column] = nothing(frame.index)
    if "purchases" not in catalogue.tables():
        return
    pairs = ["user_id", "item_id"]
    trained = pd.DataFrame({column: catalogue.keys("purchases", column) for column in pairs})
    seen = pd.MultiIndex.from_frame(frame[pairs]).isin(pd.MultiIndex.from_frame(trained))
    frame["seen_in_training"] = finding(pd.Series(seen), "also in purchases")
    for column, key in (("new_user", "user_id"), ("new_item", "item_id")):
        strange = absent(frame[key], _keys(catalogue, "purchases", key))
        frame[column] = finding(strange, "purchases without " + texts(frame.loc[strange, key]))


def _keys(catalogue: Catalogue, table: str, column: str) -> set[str]:
    return set(texts(pd.Series(catalogue.keys(table, column).dropna().unique())))
