"""Labels that differ only in how they are typed become one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import unescape
from unicodedata import normalize

from catalog.schema import EVENT_KINDS, SPLITS
from catalog.text import normalise

NAMED = 4
"""Spellings that a note names of each label, and labels that it names."""

SPLIT_WORDS = {
    **{part: part for part in SPLITS},
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("val", "valid", "dev"), "validation"),
    **dict.fromkeys(("testing",), "test"),
}
"""What data sets call the parts that they are divided into, and what we do."""

KIND_WORDS = {kind: kind for kind in EVENT_KINDS}


@dataclass(frozen=True)
class Folding:
    """What each label of a column becomes.

    Attributes:
        becomes: Label as it stands in the file to the one that is kept.
        folded: Kept label to the others that became it, where there are any.
        rows: Rows whose label changed.
    """

    becomes: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: int = 0

    def note(self, column: str) -> str | None:
        """A line that says what was folded; None where nothing was."""
        if not self.folded:
            return None
        named = [
            f"{', '.join(repr(other) for other in others[:NAMED])}{' …' if len(others) > NAMED else ''} became {kept!r}"
            for kept, others in list(self.folded.items())[:NAMED]
        ]
        more = f"; {len(self.folded) - NAMED:,} more labels likewise" if len(self.folded) > NAMED else ""
        return f"{column}: {'; '.join(named)}{more} ({self.rows:,} row{'s' if self.rows != 1 else ''})"


def fold(labels: Iterable[tuple[str, int]]) -> Folding:
    """Fold labels, given with their number of rows, in the order of the file.

    Two labels are one where `catalog.text.normalise` makes them equal: the same letters whatever their case, spaces, HTML
    entities and Unicode form. The commonest spelling stands for all, the first of equally common ones.
    """
    found = list(labels)
    spellings: dict[str, Counter[str]] = {}
    for label, rows in found:
        spellings.setdefault(normalise(label), Counter())[tidy(label)] += rows
    kept = {key: max(counts, key=lambda spelling: counts[spelling]) for key, counts in spellings.items()}
    becomes = {label: kept[normalise(label)] for label, _ in found}
    folded: dict[str, tuple[str, ...]] = {}
    for label, stands in becomes.items():
        if label != stands:
            folded[stands] = (*folded.get(stands, ()), label)
    return Folding(becomes, folded, sum(rows for label, rows in found if becomes[label] != label))


def tidy(label: str) -> str:
    """A label's spelling without what is never meant: HTML entities, spaces around and doubled, decomposed letters."""
    return " ".join(normalize("NFC", unescape(label)).split()) or label


def word(value: str, words: Mapping[str, str]) -> str | None:
    """What one of a few words is called by us, whatever its case; None where it is none of them."""
    return words.get(value.strip().casefold())
