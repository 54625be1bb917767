"""A memory answers the same after it was stored."""

from dataclasses import replace

import numpy as np
import pytest

from models.quality.answers import Candidate
from models.quality.config import MemoryConfig
from models.quality.memory.duplicates import NAMES, Signatures
from models.quality.memory.guesses import Guesses
from models.quality.memory.known import Known
from models.quality.memory.memory import Memory, colour_words, principal, projected
from models.quality.memory.norms import Norms
from models.quality.monotone import Monotone


@pytest.fixture(scope="module")
def features(products: list[Known]) -> np.ndarray:
    """Unit vectors [35, 16] by chance; the last is 0."""
    found = np.random.default_rng(1).normal(size=(len(products), 16)).astype(np.float32)
    found[-1] = 0
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6))


@pytest.fixture(scope="module")
def memory(products: list[Known], norms: Norms, features: np.ndarray, config: MemoryConfig) -> Memory:
    projection = principal(features, 8)
    vectors = projected(features, projection)
    guesses = Guesses.fit(products, vectors, ["base_colour", "attributes.Fabric", "attributes.Neck"], config, 0)
    signatures = Signatures.of(products, vectors, colour_words(norms))
    knots = np.tile(np.linspace(-1, 1, 3), (len(NAMES), 1))
    same = Monotone(knots, np.ones((len(NAMES), 2)), -15.0, np.ones(len(NAMES)))
    return Memory(projection, norms, guesses, signatures, same, config)


def test_what_was_stored_answers_the_same(memory: Memory, products: list[Known], features: np.ndarray) -> None:
    again = Memory.restore(*memory.state(), memory.config)
    assert np.array_equal(again.signatures.vectors, memory.signatures.vectors)
    asked = [Candidate(replace(products[i].listing, fields={}, attributes={})) for i in (0, 4, 12)]
    vectors = memory.project(features[[0, 4, 12]])
    for candidate, vector in zip(asked, vectors, strict=True):
        guessed = memory.lacking(candidate, "Tshirts", vector)
        assert guessed
        assert again.lacking(candidate, "Tshirts", vector) == guessed
    nearest = memory.duplicates().nearest(memory.sign_projected(asked, vectors))
    assert [match and match.product_id for match in nearest] == [0, 4, 12]
    assert again.duplicates().nearest(again.sign_projected(asked, vectors)) == nearest


def test_vectors_are_as_far_apart_after_they_were_rounded(memory: Memory, features: np.ndarray) -> None:
    exact = features @ memory.projection
    exact[:-1] /= np.linalg.norm(exact[:-1], axis=1, keepdims=True)
    rounded = memory.signatures.vectors.astype(np.float32)
    assert np.abs(rounded @ rounded.T - exact @ exact.T).max() < 0.02
    assert not rounded[-1].any()


def test_a_product_takes_few_bytes(memory: Memory) -> None:
    arrays, _ = memory.state()
    held = sum(value.nbytes for name, value in arrays.items() if name.startswith("signatures."))
    assert held / len(memory.signatures) < 600


def test_an_array_that_is_missing_is_named(memory: Memory) -> None:
    arrays, told = memory.state()
    with pytest.raises(KeyError, match="sketches"):
        Memory.restore({name: value for name, value in arrays.items() if name != "signatures.sketches"}, told, memory.config)
