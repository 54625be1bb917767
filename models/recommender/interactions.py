"""What users did with items: read from a catalogue, put in order, and divided into train, validation and test.

Shapes: U users, I items, n interactions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from catalog.catalogue import Catalogue
from catalog.splits import by_hash
from configs.schema import PositiveInt, Share, SplitConfig, StrictModel
from models.recommender.answers import EventKind

Codes = NDArray[np.int32]
Floats = NDArray[np.float32]

BOUGHT = 1.0
"""Weight of a purchase; what weighs less was only looked at."""

LEAVE_ONE_OUT = 3
"""Interactions that a user needs to give one to the test and one to validation."""


class HistoryConfig(StrictModel):
    """What counts as a user's history."""

    longest: PositiveInt = Field(1000, description="newest items of a user that are read; more say little and cost much")
    cart_weight: Share = Field(0.5, description="how much an item in the cart counts, where a purchase counts 1")
    view_weight: Share = Field(0.2, description="how much a viewed item counts")
    decays: tuple[float, ...] = Field(
        (0.0, 0.1, 0.2, 0.4, 0.7, 1.0), description="rates at which an older item counts less, e to the power of -rate a place"
    )

    @property
    def worth(self) -> dict[EventKind, float]:
        """Weight of each kind of event."""
        return {"purchase": BOUGHT, "cart": self.cart_weight, "view": self.view_weight}


@dataclass(frozen=True)
class Histories:
    """What each user did, oldest first, every item once: at its newest place and with its largest weight.

    Attributes:
        offsets: int64 [U + 1]; user u has the interactions offsets[u] to offsets[u + 1].
        items: Item codes [n].
        weights: float32 [n] in 0…1, 1 for a purchase.
    """

    offsets: NDArray[np.int64]
    items: Codes
    weights: Floats

    @classmethod
    def of(cls, users: NDArray[Any], items: NDArray[Any], weights: NDArray[Any], count: int) -> "Histories":
        """Histories of `count` users from interactions [n] in the order in which they happened."""
        if len(users):
            pair = users.astype(np.int64) * (int(items.max()) + 1) + items
            _, place = np.unique(pair, return_inverse=True)
            largest, newest = np.zeros(place.max() + 1), np.zeros(place.max() + 1, dtype=np.int64)
            np.maximum.at(largest, place, weights)
            newest[place] = np.arange(len(place))  # of equal places the last one stays
            kept = np.sort(newest)
            kept = kept[np.argsort(users[kept], kind="stable")]
            users, items, weights = users[kept], items[kept], largest[place[kept]]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=count))]).astype(np.int64)
        return cls(offsets, items.astype(np.int32), weights.astype(np.float32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Interactions of each user [U]."""
        return np.diff(self.offsets)

    def user(self, index: int) -> tuple[Codes, Floats]:
        """Items and weights of one user."""
        part = slice(self.offsets[index], self.offsets[index + 1])
        return self.items[part], self.weights[part]

    def select(self, users: NDArray[Any] | Sequence[int]) -> "Histories":
        """Histories of `users`, in their order."""
        chosen = np.asarray(users, dtype=np.int64)
        lengths = self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Histories(offsets, self.items[rows], self.weights[rows])

    def newest(self, longest: int) -> "Histories":
        """The newest interactions of each user, at most `longest`."""
        if not len(self.items) or self.lengths.max() <= longest:
            return self
        kept = self.age() < longest
        offsets = np.concatenate([[0], np.cumsum(np.minimum(self.lengths, longest))]).astype(np.int64)
        return Histories(offsets, self.items[kept], self.weights[kept])

    def age(self) -> NDArray[np.int64]:
        """How many later interactions [n] the same user has."""
        ends: NDArray[np.int64] = np.repeat(self.offsets[1:], self.lengths)
        return ends - 1 - np.arange(len(self.items))

    def bought(self) -> "Histories":
        """Purchases alone, without what was only looked at."""
        kept = self.weights >= BOUGHT
        owners = np.repeat(np.arange(len(self)), self.lengths)[kept]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(self)))]).astype(np.int64)
        return Histories(offsets, self.items[kept], self.weights[kept])

    def buyers(self, items: int) -> Floats:
        """How many users [I] bought each item; what was only looked at does not count."""
        return np.bincount(self.bought().items, minlength=items).astype(np.float32)

    def matrix(self, items: int, decay: float = 0.0) -> csr_matrix:
        """Sparse float32 [U, items]: weights, each times exp(-decay · age).

        A copy: SciPy sorts the columns of a matrix in place whenever it likes, and here they are the order of purchases.
        """
        values = self.weights if not decay else (self.weights * np.exp(-decay * self.age())).astype(np.float32)
        return csr_matrix((values, self.items, self.offsets), shape=(len(self), items), copy=True)

    def padded(self, longest: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Item codes [U, T] of the newest interactions, oldest first and then 0, and which cells are there."""
        part = self.newest(longest)
        places = np.arange(max(1, int(part.lengths.max(initial=0))))
        there = places < part.lengths[:, None]
        codes = np.zeros(there.shape, dtype=np.int64)
        codes[there] = part.items
        return codes, there


def split_interactions(catalogue: Catalogue, split: SplitConfig, history: HistoryConfig) -> pd.DataFrame:
    """user_id, item_id, split, weight and ordered, a row an interaction, in the order in which each user did them.

    A split that came with the data (`purchases_test`) is kept. Otherwise the last purchase of every user with at least three is
    test. Validation is the last of what is left, or, where no order is known, the share `split.validation` of the pairs, by
    hash. What was only viewed or put in the cart is of the part that its user's purchases had come to: what was looked at after
    the test purchase must not tell of it. Without an order it is training, as it is of users with too few purchases.
    """
    done, ordered = _in_order(catalogue, history)
    given = "purchases_test" in catalogue.tables()
    parts = np.full(len(done), "train", dtype=object)
    bought = done["weight"].to_numpy() == BOUGHT
    if ordered:
        left, count = _from_the_end(done["user_id"], bought)
        enough = count >= LEAVE_ONE_OUT - given
        if given:
            parts[enough & (left == 0)] = "validation"
        else:
            parts[enough & (left == 0)] = "test"
            parts[enough & (left == 1)] = "validation"
    else:
        place = by_hash(done["user_id"].astype(str) + ":" + done["item_id"].astype(str), split)
        _, count = _from_the_end(done["user_id"], bought)
        enough = bought & (count >= 2)
        first = 0.0 if given else split.test
        parts[enough & (place < first + split.validation)] = "validation"
        parts[enough & (place < first)] = "test"
    done["split"], done["ordered"] = parts, ordered
    if given:
        test = catalogue.read("purchases_test", ["user_id", "item_id"]).dropna().drop_duplicates()
        test = test.assign(weight=BOUGHT, split="test", ordered=ordered)
        done = pd.concat([done, _same_keys(test, done)], ignore_index=True)
    return done[["user_id", "item_id", "split", "weight", "ordered"]]


def _in_order(catalogue: Catalogue, history: HistoryConfig) -> tuple[pd.DataFrame, bool]:
    """Purchases, then events: user_id, item_id and weight, by user and time; and whether their order is known."""
    purchases = catalogue.purchases().dropna(subset=["user_id", "item_id"])
    keys = [name for name in ("timestamp", "position") if purchases[name].notna().any()]
    done = purchases.assign(weight=BOUGHT)
    if "events" in catalogue.tables():
        events = catalogue.events().dropna(subset=["user_id", "item_id", "timestamp"]).sort_values("timestamp", kind="stable")
        events = _same_keys(events.assign(weight=events["kind"].map(history.worth)).dropna(subset=["weight"]), done)
        done = pd.concat([_same_keys(done, events), events], ignore_index=True) if len(events) else done
    if keys:
        done = done.sort_values(keys, kind="stable", na_position="last")
    done = done.sort_values("user_id", kind="stable", key=lambda ids: pd.Series(pd.factorize(ids)[0], ids.index))
    return done[["user_id", "item_id", "weight"]].reset_index(drop=True), bool(keys)


def _from_the_end(users: "pd.Series[Any]", counted: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each row, how many counted rows of its user come after it, and how many there are in all."""
    codes = pd.factorize(users)[0]
    flags = pd.Series(counted.astype(np.int64))
    total = flags.groupby(codes).transform("sum").to_numpy()
    return total - flags.groupby(codes).cumsum().to_numpy(), total


def _same_keys(frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """`frame` with keys of the type of `like`'s; both become text where one cannot be the other."""
    found = frame.copy()
    for key in ("user_id", "item_id"):
        if found[key].dtype == like[key].dtype:
            continue
        numbers = pd.to_numeric(found[key], errors="coerce")
        if pd.api.types.is_integer_dtype(like[key]) and numbers.notna().all() and (numbers.astype(str) == found[key]).all():
            found[key] = numbers.astype(like[key].dtype)
        elif not pd.api.types.is_integer_dtype(found[key]) or not pd.api.types.is_integer_dtype(like[key]):
            found[key] = found[key].astype(str)
    return found
