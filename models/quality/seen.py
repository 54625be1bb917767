"""Everything that axes read of a listing, looked at once.

The parts are inspected without fields and attributes (`bare`): saying more of a product, as long as it is true, must not change
what is thought of its title, its photo or its price.

Shapes: T article types, d dimensions of projected features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.images import DecodedPhoto, decode, luma, sharpness
from catalog.listing import Listing
from models.inspection import Inspection
from models.quality.answers import Candidate
from models.quality.memory.duplicates import Match
from models.quality.memory.known import FINEST

FLOOR = 1e-3
"""Least probability of a type by one part: no part alone can rule a type out."""
GIVEN = 0.9
"""How much a given category counts as a vote: as much as a part that is 90 % sure."""


@dataclass(frozen=True)
class Photo:
    """Measures of a photo, each about 0 to 1 but pixels.

    Attributes:
        sharpness: As `catalog.images.sharpness` says.
        brightness: Mean of the luma.
        contrast: Its standard deviation.
        pixels: The shorter side of the photo.
    """

    sharpness: float
    brightness: float
    contrast: float
    pixels: int


@dataclass(frozen=True)
class Seen:
    """One candidate, looked at.

    Attributes:
        candidate: As it came.
        inspection: Of the bare listing; None where it says nothing without its attributes.
        votes: Log votes [T] of title, description, photo and given category for each article type; None without any.
        labels: Article types [T].
        known_type: Whether the given article type is one of them.
        photo: None without one.
        vector: Projected features [d], 0 where there are none.
        match: The listing that it probably is a duplicate of.
    """

    candidate: Candidate
    inspection: Inspection | None
    votes: NDArray[np.float64] | None
    labels: tuple[str, ...]
    known_type: bool
    photo: Photo | None
    vector: NDArray[np.float16]
    match: Match | None

    @property
    def listing(self) -> Listing:
        """What it says."""
        return self.candidate.listing

    @property
    def given_type(self) -> str | None:
        """As the listing says."""
        return self.listing.categories.get(FINEST)

    @property
    def agreed_type(self) -> str | None:
        """The type for which most is said by title, description, photo and the given category together."""
        return None if self.votes is None else self.labels[int(self.votes.argmax())]

    @property
    def article_type(self) -> str | None:
        """What it is compared with: the given type, else the agreed one."""
        return self.given_type or self.agreed_type

    def probability(self, part: str, kind: str | None) -> float | None:
        """Of an article type by one part alone; None where the part or the type is not there."""
        if self.inspection is None or part not in self.inspection.present or kind not in self.labels:
            return None
        return float(self.inspection.types[part][self.labels.index(kind)])

    def shows(self, part: str) -> tuple[str, float] | None:
        """The most probable type by one part alone; None where the part is not there."""
        if self.inspection is None or part not in self.inspection.present:
            return None
        best = int(self.inspection.types[part].argmax())
        return self.labels[best], float(self.inspection.types[part][best])

    def nearest(self, part: str) -> float | None:
        """Largest cosine between a part and another of title, description and photo; None where there is no other."""
        if self.inspection is None:
            return None
        found = [c for (a, b), c in self.inspection.cosines.items() if a == part and b in ("title", "description", "image")]
        return max(found, default=None)


def bare(listing: Listing) -> Listing:
    """Without fields and attributes."""
    return replace(listing, fields={}, attributes={})


def votes(inspection: Inspection | None, given: str | None, labels: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Log votes [T] for each article type; each part has one, and so has the given category where it is known."""
    said: list[NDArray[np.float64]] = []
    if inspection is not None:
        parts: Mapping[str, NDArray[np.float32]] = inspection.types
        said = [np.log(np.maximum(parts[p], FLOOR)) for p in ("title", "description", "image") if p in inspection.present]
    if given in labels:
        vote = np.full(len(labels), np.log(max((1 - GIVEN) / max(len(labels) - 1, 1), FLOOR)))
        vote[labels.index(given)] = np.log(GIVEN)
        said.append(vote)
    return np.sum(said, axis=0) if said and labels else None


def photo_of(listing: Listing, size: tuple[int, int]) -> Photo | None:
    """Measure a photo at `size`, height and width.

    Raises:
        ImageError: it cannot be decoded.
    """
    if listing.image is None:
        return None
    whole = decode(listing.image)
    small = decode(DecodedPhoto(whole), size)
    seen = luma(small)
    return Photo(
        sharpness=sharpness(small),
        brightness=float(seen.mean()),
        contrast=float(seen.std()),
        pixels=min(whole.shape[:2]),
    )
