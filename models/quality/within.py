"""Assess the listings of one catalogue, and look for duplicates among them as well as among the products of training.

Every listing is looked at once. Only when all are known can duplicates be told; those that have one are then assessed again.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from models.quality.answers import Assessment, Candidate
from models.quality.memory.duplicates import Duplicates, Signatures
from models.quality.predictor import QualityPredictor


class Within:
    """One pass over a catalogue; not for several threads."""

    def __init__(self, predictor: QualityPredictor) -> None:
        self.predictor = predictor
        self._signed: list[Signatures] = []
        self._count = 0
        self._told: list[int] = []  # places of those that can be compared
        self._all: Duplicates | None = None

    def assess(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """One assessment a candidate, as though none was a duplicate; they are remembered, in the order in which they come.

        Raises:
            VitrinaError: a candidate says nothing, or its photo cannot be decoded; then none of them is remembered.
        """
        seen = self.predictor.judge.look(candidates)
        found = self.predictor.of_seen(seen, list)
        told = [i for i, one in enumerate(seen) if one.vector.any()]
        if told:
            self._signed.append(self.predictor.judge.sign([seen[i] for i in told]))
            self._told += [self._count + i for i in told]
        self._count += len(seen)
        return found

    def duplicates(self) -> list[int]:
        """Places, in that order, of candidates of which another listing is probably the same product."""
        if not self._signed:
            return []
        memory = self.predictor.fitted.memory
        others = memory.signatures.without(frozenset(product for part in self._signed for product in part.ids))
        self._all = replace(memory, signatures=_joined([others, *self._signed])).duplicates()
        matches = chain.from_iterable(map(self._all.nearest, self._signed))
        return [place for place, match in zip(self._told, matches, strict=True) if match is not None]

    def again(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """Assessments of some of the candidates, with their duplicates among all; after `duplicates`."""
        judge = self.predictor.judge
        return self.predictor.of_seen(judge.look(candidates), partial(judge.compare, duplicates=self._all))


def _joined(parts: Sequence[Signatures]) -> Signatures:
    """All of them; halves are joined first, so that each is copied few times."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return _joined(parts[:middle]).joined(_joined(parts[middle:]))
