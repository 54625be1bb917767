"""What a model that reads listings makes of the parts of one: by this, other models can judge whether they fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from catalog.listing import Listing
from models.family import Embedder

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PriceRange:
    """What a listing should cost, in the catalogue's currency, and how far the given price is from that.

    Attributes:
        median, low, high: 90 % of true prices lie between low and high.
        deviation: Distance of the given price's logarithm from the median's, in half widths of the interval: above 1 it lies
            outside; None without a price.
    """

    median: float
    low: float
    high: float
    deviation: float | None


@dataclass(frozen=True)
class Inspection:
    """What is read in one listing.

    Attributes:
        present: Parts that were there and are read, of title, description, image, attributes.
        types: Probability of each article type [T] by each of these parts alone, and by "whole": all of them together.
        cosines: Cosine between the embeddings of two parts, by their names.
        given: Probability of the given value of each category level that is given, by the whole without categories.
        categories: The most probable value of each level and its probability; none where levels are no task.
        price: None where prices are no task.
        faults: Probability of each of `catalog.corruption.KINDS`; empty where faults are no task.
        score: Probability that nothing is wrong; None where faults are no task.
        modalities: Parts that the listing had, prices and categories among them.
        features: What `Embedder.features` gives [D]; None where the listing has nothing that features are made of.
    """

    present: tuple[str, ...]
    types: Mapping[str, Floats]
    cosines: Mapping[tuple[str, str], float]
    given: Mapping[str, float]
    categories: Mapping[str, tuple[str, float]]
    price: PriceRange | None
    faults: Mapping[str, float]
    score: float | None
    modalities: tuple[str, ...]
    features: Floats | None


@runtime_checkable
class Inspector(Embedder, Protocol):
    """A predictor that says what each part of a listing shows."""

    @property
    def type_labels(self) -> tuple[str, ...]:
        """Article types [T], in the order of `Inspection.types`."""
        ...

    @property
    def readable(self) -> frozenset[str]:
        """Parts of listings that this version reads: title, description, image, attributes, price."""
        ...

    def reads(self, listing: Listing) -> bool:
        """Whether a listing says anything that is read."""
        ...

    def inspect(self, listings: Sequence[Listing]) -> list[Inspection]:
        """One inspection a listing.

        Raises:
            VitrinaError: a listing says nothing that is read, or its photo cannot be decoded; says which.
        """
        ...
