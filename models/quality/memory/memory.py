"""All that a quality model knows of its catalogue, and how it is stored.

Shapes: n products, D features, d dimensions that they are projected to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from configs.errors import VitrinaError
from models.arrays import State, below
from models.quality.answers import Candidate
from models.quality.config import MemoryConfig
from models.quality.memory.duplicates import Duplicates, Signatures, asked, restored
from models.quality.memory.guesses import Guess, Guesses
from models.quality.memory.known import pairs
from models.quality.memory.norms import Norms
from models.quality.monotone import Monotone

LEVELS = 127
"""Of each sign, to which vectors are rounded: a cosine changes by less than 0.004."""


@dataclass(frozen=True)
class Memory:
    """Fitted on a catalogue.

    Attributes:
        projection: float32 [D, d], principal directions of the catalogue's features.
        norms: What is usual.
        guesses: Which values go together.
        signatures: The products, to find duplicates of.
        same: Whether two listings are the same product.
    """

    projection: NDArray[np.float32]
    norms: Norms
    guesses: Guesses
    signatures: Signatures
    same: Monotone
    config: MemoryConfig

    @cached_property
    def colours(self) -> frozenset[str]:
        """Words that name a colour."""
        return colour_words(self.norms)

    def duplicates(self) -> Duplicates:
        """Ready to be asked."""
        return Duplicates(self.signatures, self.same, self.config.candidates, self.config.duplicate)

    def project(self, features: NDArray[np.float32]) -> NDArray[np.float16]:
        """Unit vectors [n, d] of features [n, D]; 0 for features that are 0."""
        return projected(features, self.projection)

    def sign_projected(self, candidates: Sequence[Candidate], vectors: NDArray[np.float16]) -> Signatures:
        """What candidates are compared by; `vectors` [n, d] are their projected features."""
        return Signatures.of(asked(candidates), vectors, self.colours)

    def lacking(self, candidate: Candidate, article_type: str | None, vector: NDArray[np.float16]) -> list[Guess]:
        """Values for the usual attributes that a listing lacks, where they are sure enough."""
        listing = candidate.listing
        given = {name for name, _ in pairs(listing)}
        names = [usual.name for usual in self.norms.usual(article_type) if usual.name not in given]
        return self.guesses.guess(listing, article_type, names, vector, self.signatures.vectors)

    def state(self) -> tuple[State, dict[str, Any]]:
        """Arrays and JSON that `restore` reads."""
        arrays: State = {"projection": self.projection}
        parts = {"guesses": self.guesses.arrays(), "signatures": self.signatures.arrays(), "same": self.same.state()}
        arrays |= {f"{part}.{name}": value for part, held in parts.items() for name, value in held.items()}
        arrays["signatures.vectors"] = np.round(self.signatures.vectors.astype(np.float32) * LEVELS).astype(np.int8)
        told = {
            "norms": self.norms.model_dump(mode="json"),
            "values": {name: list(values) for name, values in self.guesses.values.items()},
            "types": list(self.guesses.types),
            "words_right": dict(self.guesses.words_right),
            "ids": list(self.signatures.ids),
            "titles": list(self.signatures.titles),
        }
        return arrays, told

    @classmethod
    def restore(cls, arrays: State, told: Mapping[str, Any], config: MemoryConfig) -> Self:
        """Read what `state` gave.

        Raises:
            KeyError: something is missing.
        """
        guessed, signed = below("guesses.", arrays), below("signatures.", arrays)
        signed["vectors"] = (signed["vectors"].astype(np.float32) / LEVELS).astype(np.float16)
        values = {name: tuple(held) for name, held in told["values"].items()}
        guesses = Guesses(
            values, guessed["codes"], tuple(told["types"]), told["words_right"], guessed["votes"], guessed["right"], config
        )
        return cls(
            projection=arrays["projection"],
            norms=Norms.model_validate(told["norms"]),
            guesses=guesses,
            signatures=restored(told["ids"], told["titles"], signed),
            same=Monotone.restore(below("same.", arrays)),
            config=config,
        )


def projected(features: NDArray[np.float32], projection: NDArray[np.float32]) -> NDArray[np.float16]:
    """Unit vectors [n, d] of features [n, D], rounded to 1/127: a bundle stores them in 8 bits; 0 for features that are 0."""
    found = features @ projection
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.round(found / np.where(length > 0, length, 1.0) * LEVELS) / LEVELS, dtype=np.float16)


def principal(features: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Directions [D, d] in which features [n, D] differ most, not centred: cosines are kept, not differences from a mean."""
    sample = features[np.random.default_rng(0).permutation(len(features))[:8192]].astype(np.float64)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, ::-1][:, :dimensions], dtype=np.float32)


def colour_words(norms: Norms) -> frozenset[str]:
    """Single words of the colours that a catalogue knows."""
    return frozenset(word for colour in norms.vocabulary["base_colour"] for word in colour.split())


def load_json(text: str, path: object) -> dict[str, Any]:
    """An object.

    Raises:
        VitrinaError: it is none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise VitrinaError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise VitrinaError(f"{path} is damaged: not an object")
    return found
