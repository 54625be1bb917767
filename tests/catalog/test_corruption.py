"""Every fault changes exactly the part it names, by as much as it says, and only where it can be seen."""

from dataclasses import dataclass, fields, replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from catalog.catalogue import Catalogue, listing_of
from catalog.corruption import (
    KINDS,
    PART,
    TITLE_KINDS,
    blur,
    corrupt,
    darken,
    drop_pairs,
    rescale_price,
    shorten,
    stuff,
    truncate,
)
from catalog.errors import CatalogueError
from catalog.images import decode
from catalog.listing import Listing
from configs.schema import CorruptionConfig, FaultKind

CHANGED = {
    "mismatched_image": "photo",
    "truncated_description": "description",
    "swapped_description": "description",
    "wrong_category": "categories",
    "wrong_price": "price",
    "blurred_image": "photo",
    "dark_image": "photo",
    "missing_attributes": "pairs",
}
Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """What a model's loader holds."""

    title: str
    description: str
    pairs: tuple[tuple[str, str], ...]
    price: float | None
    categories: tuple[str | None, ...]


def row(name: str, words: int = 30, pairs: int = 6) -> Row:
    text = " ".join(f"{name}{i}" for i in range(words))
    values = tuple((f"{name} {i}", str(i)) for i in range(pairs))
    return Row(name, text, values, 250.0, ("Wear", f"{name}s", f"{name} type"))


def picture(seed: int, height: int = 80, width: int = 60) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def differing(before: Row, after: Row) -> set[str]:
    return {f.name for f in fields(Row) if getattr(before, f.name) != getattr(after, f.name)}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_a_fault_changes_one_part_and_leaves_its_input_alone(kind: str, seed: int) -> None:
    good, photo = row("boot"), picture(1)
    before = photo.copy()
    found = corrupt(good, photo, kind, (row("hat"), picture(2)), np.random.default_rng(seed))
    assert found is not None
    bad, shown = found
    assert shown is not None
    changed = differing(good, bad) | ({"photo"} if not np.array_equal(photo, shown) else set())
    assert changed == {CHANGED[kind]}
    assert good == row("boot")
    np.testing.assert_array_equal(photo, before)
    again = corrupt(good, photo, kind, (row("hat"), picture(2)), np.random.default_rng(seed))
    assert again is not None
    assert again[0] == bad
    np.testing.assert_array_equal(again[1], shown)


@given(st.text(max_size=400), st.integers(0, 1000))
def test_a_truncated_text_is_the_beginning_of_the_text(text: str, seed: int) -> None:
    short = truncate(text, np.random.default_rng(seed))
    whole = text.strip()
    if short is None:
        assert len(whole) < 20
        return
    assert whole.startswith(short)
    assert 0 < len(short) <= 0.5 * len(whole) + 1
    assert len(short) >= 0.1 * len(whole) - 1 or whole[len(short)].isspace()


@given(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), st.integers(0, 1000))
def test_a_wrong_price_is_ten_times_off(price: float | None, seed: int) -> None:
    wrong = rescale_price(price, np.random.default_rng(seed))
    if price is None or not (0 < price < float("inf")):
        assert wrong is None
    else:
        assert wrong in (price * 10, price / 10)


def test_prices_go_up_as_often_as_down() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([rescale_price(1.0, rng) == 10.0 for _ in range(1000)]) == pytest.approx(0.5, abs=0.05)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=30), st.integers(0, 1000))
def test_of_the_pairs_most_go_and_the_order_stays(pairs: list[tuple[str, str]], seed: int) -> None:
    kept = drop_pairs(tuple(pairs), np.random.default_rng(seed))
    if kept is None:
        assert len(pairs) < 3
        return
    assert len(kept) <= 0.4 * len(pairs)
    rest = iter(pairs)
    assert all(pair in rest for pair in kept)  # a subsequence


@given(st.integers(0, 1000), st.integers(20, 90), st.integers(20, 90))
@settings(max_examples=30)
def test_a_dark_photo_keeps_its_picture_and_loses_its_light(seed: int, height: int, width: int) -> None:
    photo = picture(seed, height, width)
    dark = darken(photo, np.random.default_rng(seed))
    assert dark.shape == photo.shape
    assert 0.08 < dark.mean() / photo.mean() < 0.41
    assert (np.diff(dark.reshape(-1)[np.argsort(photo.reshape(-1), kind="stable")].astype(int)) >= 0).all()


@pytest.mark.parametrize("scale", [1, 4])
def test_blur_takes_the_detail_at_any_size(scale: int) -> None:
    stripes = (np.indices((80 * scale, 60 * scale)).sum(0) // (2 * scale) % 2 * 255).astype(np.uint8)
    photo = np.repeat(stripes[:, :, None], 3, axis=2)
    for seed in range(5):
        soft = blur(photo, np.random.default_rng(seed))
        assert soft.shape == photo.shape
        assert soft.mean() == pytest.approx(photo.mean(), abs=3)
        inner = soft[10 * scale : -10 * scale, 10 * scale : -10 * scale]
        assert inner.std() < 0.35 * photo.std()


@pytest.mark.parametrize(
    ("kind", "changes", "photo"),
    [
        ("mismatched_image", {}, None),
        ("blurred_image", {}, None),
        ("dark_image", {}, None),
        ("blurred_image", {}, np.full((80, 60, 3), 200, np.uint8)),
        ("dark_image", {}, np.zeros((80, 60, 3), np.uint8)),
        ("mismatched_image", {}, picture(2)),
        ("truncated_description", {"description": ""}, picture(1)),
        ("truncated_description", {"description": "A nice hat."}, picture(1)),
        ("swapped_description", {"description": ""}, picture(1)),
        ("swapped_description", {"description": "  " + row("hat").description.upper()}, picture(1)),
        ("wrong_category", {"categories": (None, None, None)}, picture(1)),
        ("wrong_category", {"categories": ("Wear", "boots", "hat type")}, picture(1)),
        ("wrong_price", {"price": None}, picture(1)),
        ("missing_attributes", {"pairs": (("a", "b"), ("c", "d"))}, picture(1)),
    ],
)
def test_a_listing_that_cannot_carry_the_fault_stays_good(kind: str, changes: dict[str, Any], photo: Photo | None) -> None:
    listing = replace(row("boot"), **changes)
    assert corrupt(listing, photo, kind, (row("hat"), picture(2)), np.random.default_rng(0)) is None


def test_a_donor_without_the_part_gives_no_fault() -> None:
    donor = (replace(row("hat"), description="", categories=("Wear", None, None)), None)
    for kind in ("mismatched_image", "swapped_description", "wrong_category"):
        assert corrupt(row("boot"), picture(1), kind, donor, np.random.default_rng(0)) is None


def test_every_fault_is_a_fault_of_one_part() -> None:
    assert PART.keys() == {*KINDS, *TITLE_KINDS}


@pytest.mark.parametrize("kind", TITLE_KINDS)
def test_a_fault_of_the_title_changes_it_alone(kind: str) -> None:
    good = replace(row("boot"), title="Kestrel Men Brown Leather Boots")
    donor = (replace(row("hat"), title="Nordlys Women Red Felt Hat"), None)
    found = corrupt(good, None, kind, donor, np.random.default_rng(0))
    assert found is not None and differing(good, found[0]) == {"title"}
    assert corrupt(replace(good, title=""), None, kind, donor, np.random.default_rng(0)) is None


def test_the_same_title_in_other_letters_is_no_swap() -> None:
    donor = (replace(row("hat"), title=" BOOT "), None)
    assert corrupt(row("boot"), None, "swapped_title", donor, np.random.default_rng(0)) is None


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), max_size=15), st.integers(0, 1000))
def test_a_poor_title_keeps_a_third_of_the_words_at_most_in_order(said: list[str], seed: int) -> None:
    short = shorten(" ".join(said), np.random.default_rng(seed))
    if short is None:
        assert len(said) < 3
        return
    rest = iter(said)
    assert 1 <= len(short.split()) <= max(1, len(said) * 0.34)
    assert all(word in rest for word in short.split())  # a subsequence


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=15), st.integers(0, 1000))
def test_a_stuffed_title_says_its_words_again(said: list[str], seed: int) -> None:
    stuffed = stuff(" ".join(said), np.random.default_rng(seed))
    assert stuffed is not None and stuff("  ", np.random.default_rng(seed)) is None
    told = stuffed.lower().split()
    assert told[: len(said)] == said and len(told) >= len(said) + 3
    assert set(told[len(said) : len(said) + 3]) <= set(said)


def test_every_kind_fits_the_listings_of_a_shop(shop: Catalogue) -> None:
    rng = np.random.default_rng(0)
    products = shop.products().iloc[10:50]
    listings = [listing_of(dict(product), shop.images.get(product["product_id"])) for _, product in products.iterrows()]
    photos = [None if one.image is None else decode(one.image, (80, 60)) for one in listings]
    for kind in KINDS:
        found = []
        for i, (listing, photo) in enumerate(zip(listings, photos, strict=True)):
            donor = (i + 17) % len(listings)
            spoiled = corrupt(listing, photo, kind, (listings[donor], photos[donor]), rng)
            found += [spoiled] if spoiled is not None else []
            if spoiled is not None and kind == "missing_attributes":
                bad = spoiled[0]
                assert bad.fields.items() <= listing.fields.items()
                assert bad.attributes.items() <= listing.attributes.items()
                assert len(bad.fields) + len(bad.attributes) <= 0.4 * (len(listing.fields) + len(listing.attributes))
        assert len(found) >= 25, kind
        assert all(isinstance(bad, Listing) for bad, _ in found)


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(CatalogueError, match="fault 'rust' is not known; allowed: mismatched_image, "):
        corrupt(row("boot"), None, "rust", (row("hat"), None), np.random.default_rng(0))


def test_the_configuration_keeps_kinds_for_the_test_alone() -> None:
    config = CorruptionConfig(held_out=("dark_image", "wrong_price"))
    assert config.trained == tuple(kind for kind in KINDS if kind not in ("dark_image", "wrong_price"))
    with pytest.raises(ValidationError, match="at least one must be left"):
        CorruptionConfig(held_out=get_args(FaultKind))
