"""Assess the listings of one catalogue, and look for duplicates among them as well as among the products of training.

Every listing is looked at once. Only when all are known can duplicates be told; those that have one are then assessed again.
"""

from collections.abc import Sequence
from dataclasses import replace

from models.quality.answers import Assessment, Candidate
from models.quality.memory.duplicates import Match, Signatures
from models.quality.predictor import QualityPredictor


class Within:
    """One pass over a catalogue; not for several threads."""

    def __init__(self, predictor: QualityPredictor) -> None:
        self.predictor = predictor
        self._signed: list[Signatures] = []
        self._count = 0
        self._told: list[int] = []  # places of those that can be compared
        self._matches: dict[int, Match] = {}

    def assess(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """One assessment a candidate, as though none was a duplicate; they are remembered, in the order in which they come.

        Raises:
            VitrinaError: a candidate says nothing, or its photo cannot be decoded; then none of them is remembered.
        """
        seen = self.predictor.judge.look(candidates)
        found = self.predictor.of_seen(seen)
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
        memory, places = self.predictor.fitted.memory, iter(self._told)
        others = memory.signatures.without(frozenset(product for part in self._signed for product in part.ids))
        known = replace(memory, signatures=_joined([others, *self._signed])).duplicates()
        for part in self._signed:
            for match, place in zip(known.nearest(part), places, strict=False):
                if match is not None:
                    self._matches[place] = match
        return sorted(self._matches)

    def again(self, places: Sequence[int], candidates: Sequence[Candidate]) -> list[Assessment]:
        """Assessments of the candidates at these places, with the duplicates that were found."""
        seen = self.predictor.judge.look(candidates)
        return self.predictor.of_seen([replace(one, match=self._matches.get(p)) for p, one in zip(places, seen, strict=True)])


def _joined(parts: Sequence[Signatures]) -> Signatures:
    """All of them; halves are joined first, so that each is copied few times."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return _joined(parts[:middle]).joined(_joined(parts[middle:]))
