"""Which examples a reviewer sees of challenger and champion side by side: some that were lost, some that were won, others."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

SIDE_BY_SIDE = 4
"""Examples: as many as stand beside each other on a screen of 1280 pixels."""


def pick(lost: Iterable[Any], won: Iterable[Any], others: Iterable[Any] = ()) -> list[Any]:
    """Keys of `SIDE_BY_SIDE` examples at most: as many lost as won, then what is left of either, then others; each in order."""
    lost, won, others = list(lost), list(won), list(others)
    half = SIDE_BY_SIDE // 2
    order = dict.fromkeys([*lost[:half], *won[:half], *lost[half:], *won[half:], *others])
    return list(islice(order, SIDE_BY_SIDE))


def turned(lost: int, won: int, of: int, what: str) -> list[str]:
    """The risk that answers turned wrong, as a line; none where none did. `what` are those that are counted, in plural."""
    if not lost:
        return []
    back = f"; {won:,} the other way round" if won else ""
    return [f"{lost:,} of {of:,} {what} that the champion got right are wrong now{back}"]
