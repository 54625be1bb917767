"""Values that a listing lacks come from its words and from its neighbours, as sure as such guesses have been right."""

from dataclasses import replace

import numpy as np
import pytest

from catalog.listing import Listing
from models.quality.config import MemoryConfig
from models.quality.memory.guesses import Guesses, said
from models.quality.memory.known import Known

PHRASES = {("navy", "blue"): "Navy Blue", ("blue",): "Blue", ("cotton",): "Cotton"}
FABRIC, NECK = "attributes.Fabric", "attributes.Neck"


@pytest.fixture(scope="module")
def guesses(products: list[Known], vectors: np.ndarray, config: MemoryConfig) -> Guesses:
    return Guesses.fit(products, vectors, ["brand", "base_colour", FABRIC, NECK], config, 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a navy blue shirt", "Navy Blue"),
        ("blue and cotton", None),
        ("made of cotton", "Cotton"),
        ("not made of cotton", None),
        ("without cotton", None),
        ("cotton free", None),
        ("cottonlike", None),
        ("", None),
    ],
)
def test_a_text_says_the_longest_value_that_it_does_not_deny(text: str, value: str | None) -> None:
    assert said(text.split(), PHRASES) == value


def test_words_tell_a_colour_and_neighbours_the_neck(guesses: Guesses, products: list[Known], vectors: np.ndarray) -> None:
    listing = replace(products[4].listing, fields={}, attributes={})
    found = {
        guess.name: guess for guess in guesses.guess(listing, "Tshirts", ["brand", "base_colour", NECK], vectors[4], vectors)
    }
    assert found["base_colour"].value == "Red"
    assert found["base_colour"].why == "the title says 'Red'"
    assert found[NECK].value == "Round Neck"
    assert "brand" not in found  # never by what neighbours are
    assert all(guess.confidence >= 0.6 for guess in found.values())


def test_what_only_some_neighbours_have_is_less_sure(guesses: Guesses, products: list[Known], vectors: np.ndarray) -> None:
    plain = Listing(title="Nike Men Tshirt", categories={"article_type": "Tshirts"})
    for row in range(6):
        for guess in guesses.guess(plain, "Tshirts", [FABRIC], vectors[row], vectors):
            assert guess.value == "Cotton"
            assert guess.confidence < 1.0


def test_a_word_that_is_seldom_meant_is_not_guessed(vectors: np.ndarray, config: MemoryConfig) -> None:
    """Descriptions say "skin" of all, which is the colour of none; the other colours that they say are right."""
    shirts = [
        Known(i, Listing(description=text, fields={"base_colour": colour}, categories={"article_type": "Tshirts"}))
        for i, (text, colour) in enumerate(
            [("kind to your skin", "Blue")] * 15 + [("a red shirt", "Red")] * 19 + [("plain", "Skin")]
        )
    ]
    guesses = Guesses.fit(shirts, vectors, ["base_colour"], config, 0)
    zero = np.zeros(8, dtype=np.float16)
    asked = [Listing(description=text) for text in ("made for skin", "it is red")]
    found = [guesses.guess(listing, "Tshirts", ["base_colour"], zero, vectors) for listing in asked]
    assert not found[0]
    assert [guess.value for guess in found[1]] == ["Red"]


def test_a_type_that_nobody_knows_has_words_alone(guesses: Guesses, vectors: np.ndarray) -> None:
    found = guesses.guess(Listing(title="A red hat"), "Hats", ["base_colour", NECK], vectors[0], vectors)
    assert [(guess.name, guess.value) for guess in found] == [("base_colour", "Red")]
