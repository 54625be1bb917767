"""From listings to scores: looks at each, reads its axes, and scores them by what was learned.

Shapes: n candidates, D features, d dimensions that they are projected to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ImageError
from configs.errors import VitrinaError
from models.inspection import Inspection, Inspector
from models.quality.answers import Axis, AxisScore, Candidate
from models.quality.axes import readers
from models.quality.axis import Reader, Reading
from models.quality.belonging import Belonging
from models.quality.config import QualityModelConfig
from models.quality.memory.duplicates import Duplicates, Signatures
from models.quality.memory.memory import Memory
from models.quality.monotone import Monotone
from models.quality.overall import overall
from models.quality.seen import Seen, bare, photo_of, votes


@dataclass(frozen=True)
class Judgement:
    """A listing that was looked at and scored.

    Attributes:
        seen: What was looked at.
        readings: Of every axis.
        scores: Of those that apply.
        score: Of all of them.
    """

    seen: Seen
    readings: Mapping[Axis, Reading]
    scores: Mapping[Axis, float]
    score: float

    @property
    def worst(self) -> Axis | None:
        """The axis that scores lowest: what a fault is attributed to."""
        return min(self.scores, key=lambda axis: self.scores[axis], default=None)

    @property
    def axes(self) -> dict[Axis, AxisScore]:
        """Scores and evidence."""
        return {axis: AxisScore(score, self.readings[axis].evidence) for axis, score in self.scores.items()}


@dataclass(frozen=True)
class Judge:
    """Everything that is needed to score a listing. Safe to call from several threads."""

    inspector: Inspector
    memory: Memory
    duplicates: Duplicates
    models: Mapping[Axis, Monotone]
    belonging: Belonging | None
    config: QualityModelConfig

    def look(self, candidates: Sequence[Candidate]) -> list[Seen]:
        """Look at candidates, but for duplicates.

        Raises:
            VitrinaError: a listing says nothing, or its photo cannot be decoded; says which.
        """
        listings = [bare(candidate.listing) for candidate in candidates]
        for i, (candidate, listing) in enumerate(zip(candidates, listings, strict=True)):
            if not (self.inspector.reads(listing) or self.inspector.reads(candidate.listing)):
                raise VitrinaError(f"listing {i} says nothing; give a title, description, image, price, category or attribute")
        told = [i for i, listing in enumerate(listings) if self.inspector.reads(listing)]
        found: dict[int, Inspection] = dict(zip(told, self.inspector.inspect([listings[i] for i in told]), strict=True))
        return [self._seen(i, candidate, found.get(i)) for i, candidate in enumerate(candidates)]

    def compare(self, seen: Sequence[Seen], duplicates: Duplicates | None = None) -> list[Seen]:
        """The same with the listing that each probably is a duplicate of, among the catalogue's or those of `duplicates`."""
        rows = [i for i, one in enumerate(seen) if one.vector.any()]
        signed = self.sign([seen[i] for i in rows])
        matches = dict(zip(rows, (duplicates or self.duplicates).nearest(signed), strict=True))
        return [replace(one, match=matches.get(i)) for i, one in enumerate(seen)]

    def sign(self, seen: Sequence[Seen]) -> Signatures:
        """What listings are compared by."""
        width = self.memory.projection.shape[1]
        vectors = np.stack([one.vector for one in seen]) if seen else np.zeros((0, width), dtype=np.float16)
        return self.memory.sign_projected([one.candidate for one in seen], vectors)

    def judge(self, seen: Sequence[Seen]) -> list[Judgement]:
        """Score what was looked at."""
        readings = [{axis: reader.read(one, self.memory) for axis, reader in readers().items()} for one in seen]
        scores = self.scores(readings)
        return [
            Judgement(one, reading, score, overall(score, self.config.overall))
            for one, reading, score in zip(seen, readings, scores, strict=True)
        ]

    def scores(self, readings: Sequence[Mapping[Axis, Reading]]) -> list[dict[Axis, float]]:
        """Of every axis that applies."""
        found: list[dict[Axis, float]] = [{} for _ in readings]
        for axis, reader in readers().items():
            rows = [i for i, reading in enumerate(readings) if reading[axis].there and self.learned(axis)]
            values = self._score(reader, [readings[i][axis] for i in rows]) if rows else np.empty(0)
            for i, value in zip(rows, values, strict=True):
                found[i][axis] = float(value)
            for i, reading in enumerate(readings):
                if (share := reading[axis].missing) is not None:
                    found[i][axis] = 1.0 - share
        return [{axis: score[axis] for axis in readers() if axis in score} for score in found]

    def learned(self, axis: Axis) -> bool:
        """Whether the axis can be scored: faults of it could be made of the catalogue's listings; duplicates need none."""
        return axis in self.models or axis == "duplicate"

    def _score(self, reader: Reader, readings: Sequence[Reading]) -> NDArray[np.float64]:
        """What an axis makes of its own evidence, times whether its part belongs; that of duplicates is a score already."""
        rows = np.stack([reading.row for reading in readings])
        scores = self.models[reader.name].score(rows) if reader.name in self.models else rows[:, 0]
        if reader.part is not None and self.belonging is not None:
            scores = scores * self.belonging.score(reader.part, np.stack([reading.belonging for reading in readings]))
        return scores

    def _seen(self, index: int, candidate: Candidate, inspection: Inspection | None) -> Seen:
        labels, given = self.inspector.type_labels, candidate.listing.categories.get("article_type")
        try:
            photo = photo_of(candidate.listing, (self.config.photo_height, self.config.photo_width))
        except ImageError as error:
            raise VitrinaError(f"listing {index}: {error}") from error
        if "image" not in self.inspector.readable:
            photo = None
        width = self.memory.projection.shape[1]
        features = inspection.features if inspection else None
        vector = np.zeros(width, dtype=np.float16) if features is None else self.memory.project(features[None])[0]
        return Seen(
            candidate=candidate,
            inspection=inspection,
            votes=votes(inspection, given, labels),
            labels=labels,
            known_type=given in labels,
            photo=photo,
            vector=vector,
            match=None,
        )
