"""What an axis is: which evidence it reads, in which direction, and how it tells people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.answers import Axis, Evidence
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


@dataclass(frozen=True)
class Reading:
    """What an axis found in a listing.

    Attributes:
        values: Its evidence in order, each the higher, the better; None where something to compare with is missing.
        belongs: What `models.quality.belonging` judges: of the axis's part, log probability of the agreed type and largest
            cosine with another part; None for axes that are about no such part.
        evidence: The same for people, the weightiest first.
        missing: Share of the type's listings that have the part which is missing here; None where it is there.
        left_out: Why the axis does not apply; None where it does.
    """

    values: tuple[float | None, ...] = ()
    belongs: tuple[float | None, float | None] | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: float | None = None
    left_out: str | None = None

    @property
    def row(self) -> NDArray[np.float64]:
        """The evidence as numbers, NaN where it is missing."""
        return _numbers(self.values)

    @property
    def belonging(self) -> NDArray[np.float64]:
        """The same of `belongs`."""
        return _numbers(self.belongs or (None, None))

    @property
    def there(self) -> bool:
        """Whether there is evidence to judge by."""
        return self.left_out is None and self.missing is None


@dataclass(frozen=True)
class Reader:
    """One axis.

    Attributes:
        name: Of the axis.
        label: How reports call it.
        evidence: Name of each evidence, and the share of good listings from which more of it is no better (`Monotone.fit`).
        read: Looks at a listing.
        part: Which of `models.quality.belonging.PARTS` it is about.
        todo: What a person has to do about it, a sentence; where a model can do something, `models.quality.improvements` does.
        absent: The same where the part is missing.
    """

    name: Axis
    label: str
    evidence: tuple[tuple[str, float], ...]
    read: Callable[[Seen, Memory], Reading]
    todo: str
    part: str | None = None
    absent: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of its evidence."""
        return tuple(name for name, _ in self.evidence)

    @property
    def saturates(self) -> tuple[float, ...]:
        """See `Monotone.fit`."""
        return tuple(top for _, top in self.evidence)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def missing(part: str, what: str, seen: Seen, memory: Memory) -> Reading:
    """A part is not there: the more usual it is, the worse."""
    share = memory.norms.share_with(part, seen.article_type)
    group = memory.norms.of(seen.article_type)[1]
    told = f"No {what}; {share:.0%} of {group} have one." if share else f"No {what}; none of {group} has one."
    return Reading(evidence=(Evidence(told, {"missing": part, "share": round(share, 4)}),), missing=share)


def log(probability: float | None) -> float | None:
    """Natural logarithm of a probability, of 1e-4 at least."""
    return None if probability is None else float(np.log(max(probability, 1e-4)))


def belongs(seen: Seen, part: str) -> tuple[float | None, float | None]:
    """See `Reading`."""
    return log(seen.probability(part, seen.agreed_type)), seen.nearest(part)


def nearness(seen: Seen, part: str) -> tuple[Evidence, ...]:
    """How near a part lies to the nearest other part, for people; nothing where there is no other."""
    near, fits = seen.nearest(part), seen.probability(part, seen.agreed_type)
    if near is None:
        return ()
    told = f"It is as like another part of the listing as {near:.2f}, where 1 is the same"
    kind = "" if fits is None else f", and by itself is about {seen.agreed_type} with a probability of {fits:.2f}"
    return (Evidence(f"{told}{kind}.", {"likeness": round(near, 4)}),)


def doubt(seen: Seen, fault: str) -> float | None:
    """How little the product model believes in a fault: its log odds against it; None where it does not look for faults."""
    found = seen.inspection.faults.get(fault) if seen.inspection else None
    return None if found is None else float(np.clip(-np.log(max(found, 1e-6) / max(1 - found, 1e-6)), -12.0, 12.0))


def shown(seen: Seen, parts: Sequence[str]) -> str:
    """What parts show, as a phrase: "the photo shows Handbags (0.93), the title says Sports Shoes (0.88)"."""
    verb = {"title": "the title says", "description": "the description says", "image": "the photo shows"}
    found = [(verb[part], seen.shows(part)) for part in parts]
    return ", ".join(f"{what} {best[0]} ({best[1]:.2f})" for what, best in found if best)
