"""Like is compared with like: a reference that holds examples told in several ways is matched to how the window told them.

A listing, for one, may be sent with its categories or without, and a head that reads them answers differently. Which way clients
send is no drift. So of the reference as many rows are drawn of each way as the window's shares ask for, and of each example one
row at most: rows stay independent, as the tests need them.

Shapes: n rows of the reference, m of the window, W ways.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring.verdict import ReferenceSpec

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """What is compared.

    Attributes:
        reference: Rows of the reference, in its order; the ways they were told have the window's shares.
        current: Rows of the window whose way the reference holds.
        notes: What was left out, a line each.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    notes: tuple[str, ...] = ()


def match(reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec) -> Matched:
    """Draw the reference again with the window's shares of the values of `spec.match`; both whole where it names no column.

    The draw is random, and the same whenever reference and shares are. Rows of the window whose value is missing, or not in
    the reference, are left out: there is nothing that they could have drifted from.
    """
    if not spec.match or current.empty:
        return Matched(reference, current)
    held, asked = _ways(reference, current, spec.match)
    known = (asked >= 0) & np.isin(asked, held)
    left_out = int((~known).sum())
    why = f"{', '.join(spec.match)} missing, or not in the reference"
    notes = (f"{left_out} of {len(current)} rows of the window are left out: {why}",) if left_out else ()
    if not known.any():
        return Matched(reference[:0], current[:0], notes)
    shares = np.bincount(asked[known], minlength=held.max() + 1) / known.sum()
    drawn = _thinned(_one_way(reference, held, shares, spec.example), held, shares)
    return Matched(reference.iloc[drawn].reset_index(drop=True), current[known].reset_index(drop=True), notes)


def _ways(reference: pd.DataFrame, current: pd.DataFrame, columns: tuple[str, ...]) -> tuple[Ints, Ints]:
    """The way (n,) and (m,) each row was told, as a number; -1 where a column has no value."""
    frames = [frame.reindex(columns=[*columns]).astype(object) for frame in (reference, current)]
    groups = pd.concat(frames, ignore_index=True).groupby([*columns], sort=False)
    numbers = np.asarray(groups.ngroup().fillna(-1), dtype=np.int64)
    return numbers[: len(reference)], numbers[len(reference) :]


def _one_way(reference: pd.DataFrame, held: Ints, shares: Floats, example: str | None) -> Ints:
    """Rows in random order, at most one an example: each example is given a way (W shares), and left out where it has not got it.

    To choose among the ways that an example has would make the examples with one way alone too frequent in it.
    """
    rng = np.random.default_rng(0)
    if example is None:
        return rng.permutation(np.flatnonzero(held >= 0))
    examples = pd.factorize(reference[example], use_na_sentinel=False)[0]
    count = examples.max() + 1
    given = np.empty(count, dtype=np.int64)
    given[rng.permutation(count)] = np.searchsorted(np.rint(shares.cumsum() * count), np.arange(count), side="right")
    return rng.permutation(np.flatnonzero(held == given[examples]))


def _thinned(rows: Ints, held: Ints, shares: Floats) -> Ints:
    """The most of `rows` that have the shares (W,), to within a row of each way; sorted."""
    ways, there = held[rows], shares > 0
    counts = np.bincount(ways, minlength=len(shares))
    most = np.rint(shares * ((counts + 1)[there] / shares[there]).min())
    place = pd.Series(ways).groupby(ways).cumcount().to_numpy()
    return np.sort(rows[place < most[ways]])
