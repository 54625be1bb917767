import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.augmentation import augment_image, augment_text, drop_attributes, mistype, oversample
from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from configs.schema import AugmentationConfig

OFF = AugmentationConfig(word_dropout=0, word_swap=0, typo=0, attribute_dropout=0, flip=0, crop=0, colour_jitter=0, erase=0)
WORDS = st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=9), max_size=12)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@given(WORDS)
def test_nothing_changes_when_all_is_off(words: list[str]) -> None:
    assert augment_text(words, OFF, generator()) == words


@given(WORDS, st.integers(0, 1000))
def test_swaps_keep_the_words_and_dropout_keeps_one(words: list[str], seed: int) -> None:
    swapped = augment_text(words, OFF.model_copy(update={"word_swap": 0.5}), np.random.default_rng(seed))
    assert Counter(swapped) == Counter(words)
    left = augment_text(words, OFF.model_copy(update={"word_dropout": 1.0}), np.random.default_rng(seed))
    assert len(left) == min(1, len(words))
    assert set(left) <= set(words)


def test_every_second_pair_swaps_at_probability_one() -> None:
    assert augment_text(list("abcde"), OFF.model_copy(update={"word_swap": 1.0}), generator()) == ["b", "a", "d", "c", "e"]


@given(st.text(min_size=4), st.integers(0, 100))
def test_a_typing_error_is_one_small_edit(word: str, seed: int) -> None:
    wrong = mistype(word, np.random.default_rng(seed))
    assert abs(len(wrong) - len(word)) <= 1
    assert wrong[0] == word[0]


def test_short_words_stay() -> None:
    assert mistype("tee", generator()) == "tee"


def test_attributes_are_hidden_never_changed() -> None:
    attributes = {str(i): f"value {i}" for i in range(400)}
    kept = drop_attributes(attributes, AugmentationConfig(attribute_dropout=0.25), generator())
    assert kept.items() <= attributes.items()
    assert len(kept) == pytest.approx(300, abs=40)


def test_a_photo_is_mirrored() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    np.testing.assert_array_equal(augment_image(image, OFF, generator()), image)
    np.testing.assert_array_equal(augment_image(image, OFF.model_copy(update={"flip": 1.0}), generator()), image[:, ::-1])


def test_a_crop_keeps_the_size_and_a_plain_photo() -> None:
    image = np.full((80, 60, 3), 90, np.uint8)
    config = OFF.model_copy(update={"crop": 1.0, "crop_margin": 0.3})
    np.testing.assert_array_equal(augment_image(image, config, generator()), image)
    gradient = np.broadcast_to(np.arange(80, dtype=np.uint8)[:, None, None], (80, 60, 3))
    crops = [augment_image(gradient, config, np.random.default_rng(seed)) for seed in range(40)]
    assert all(crop.shape == (80, 60, 3) and (np.diff(crop[:, 0, 0].astype(int)) >= 0).all() for crop in crops)
    removed = [79 - (int(crop.max()) - int(crop.min())) for crop in crops]
    assert max(removed) <= 2 * 24 + 1  # 30 % of 80 rows at the top and at the bottom
    assert np.mean(removed) == pytest.approx(24, abs=6)


def test_jitter_changes_the_light_within_its_bound() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    config = OFF.model_copy(update={"colour_jitter": 0.1})
    means = [augment_image(image, config, np.random.default_rng(seed)).mean() for seed in range(50)]
    assert 89 <= min(means) < 95
    assert 105 < max(means) <= 110
    assert (image == 100).all()


@given(st.integers(0, 1000), st.integers(8, 90), st.integers(8, 90), st.floats(0.01, 1.0))
def test_erasing_puts_noise_over_one_rectangle(seed: int, height: int, width: int, largest: float) -> None:
    image = np.full((height, width, 3), 90, np.uint8)
    config = OFF.model_copy(update={"erase": 1.0, "erase_area": largest})
    erased = augment_image(image, config, np.random.default_rng(seed))
    assert erased.shape == image.shape
    assert (image == 90).all()
    rows, columns = np.nonzero((erased != 90).any(axis=2))
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else 0
    assert box <= largest * height * width + height + width  # sides are rounded to whole pixels
    assert len(rows) >= 0.99 * box - 1  # noise is as it was where all three channels are 90 by chance


def test_a_photo_is_erased_as_often_as_asked_for_and_by_as_much() -> None:
    image = np.zeros((80, 64, 3), np.uint8)
    config = OFF.model_copy(update={"erase": 0.25, "erase_area": 0.2})
    shares = [(augment_image(image, config, np.random.default_rng(seed)).any(axis=2)).mean() for seed in range(400)]
    assert np.mean(np.array(shares) > 0) == pytest.approx(0.25, abs=0.06)
    assert 0.02 < min(share for share in shares if share) < 0.06
    assert 0.15 < max(shares) < 0.21


@pytest.mark.slow
def test_rare_types_are_filled_up_with_reworded_copies(shop: Catalogue) -> None:
    products = shop.products().drop_duplicates("product_id")
    config = AugmentationConfig(min_class_rows=15, word_dropout=0.3)
    copies = oversample(products, config, seed=3)
    assert list(copies.columns) == [*products.columns, "source_product_id"]
    counts = pd.concat([products, copies])["article_type"].value_counts()
    assert counts.min() == 15
    assert copies["product_id"].min() > products["product_id"].max()
    assert copies["product_id"].is_unique
    sources = products.set_index("product_id").loc[copies["source_product_id"]]
    for column in ("article_type", "price", "brand"):
        assert copies[column].tolist() == sources[column].tolist()
    assert (copies["title"].to_numpy() != sources["title"].to_numpy()).mean() > 0.5
    assert all(isinstance(json.loads(text), dict) for text in copies["attributes"])
    pd.testing.assert_frame_equal(copies, oversample(products, config, seed=3))


def test_without_a_minimum_there_are_no_copies(shop: Catalogue) -> None:
    assert len(oversample(shop.products(), AugmentationConfig(), seed=3)) == 0


def test_string_ids_get_string_ids_and_odd_indices_do_not_matter() -> None:
    products = pd.DataFrame(
        {"product_id": ["a", "b", "c"], "title": ["x y"] * 3, "article_type": ["Hats", "Hats", None]}, index=[0, 0, 0]
    )
    copies = oversample(products, AugmentationConfig(min_class_rows=6), seed=1)
    assert sorted(copies["product_id"]) == ["a~1", "a~2", "b~1", "b~2"]
    with pytest.raises(CatalogueError, match="needs article_type"):
        oversample(products.drop(columns="article_type"), AugmentationConfig(), seed=1)
