"""What is usual is counted by type, and by what is above it where a type has few products."""

from dataclasses import replace

import pytest

from catalog.listing import Listing
from models.quality.config import MemoryConfig
from models.quality.memory.known import Known, length, pieces
from models.quality.memory.norms import Norms


def test_usual_attributes_of_a_type_say_something_and_how_many_have_them(norms: Norms) -> None:
    usual = norms.usual("Tshirts")
    names = ("brand", "gender", "base_colour", "attributes.Fabric", "attributes.Neck")
    assert {one.name: one.share for one in usual} == dict.fromkeys(names, 1.0)
    assert {(one.of, one.group) for one in usual} == {(30, "Tshirts listings")}


def test_a_rare_type_goes_by_its_catalogue(norms: Norms) -> None:
    assert norms.share_with("image", "Tshirts") == 1.0
    assert norms.share_with("image", "Books") == norms.share_with("image", None) == pytest.approx(30 / 35)


def test_a_type_whose_titles_never_name_a_gender_has_norms(config: MemoryConfig) -> None:
    books = [Known(i, Listing(title=f"Tales {i}", categories={"article_type": "Books"})) for i in range(30)]
    shirts = [Known(100 + i, replace(Listing(title="Men Tshirt"), fields={"gender": "Men"})) for i in range(30)]
    norms = Norms.fit([*books, *shirts], [False] * 60, config)
    assert norms.of("Books")[0].named["gender"] == 0.0
    assert "gender" not in norms.of("Books")[0].places
    assert norms.everything.named["gender"] == 0.5


def test_titles_tell_how_a_type_is_called(norms: Norms) -> None:
    assert norms.of("Tshirts")[0].called == "Tshirt"


def test_words_are_counted_in_scripts_without_spaces() -> None:
    assert length("Nike Men Blue Tshirt") == 4
    assert length("耐克男士蓝色短袖") == 4
    assert length("قميص رجالي أزرق") == 3
    assert length(None) == 0
    assert pieces("蓝色短袖") == ["蓝色", "色短", "短袖"]
