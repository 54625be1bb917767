from dataclasses import replace

import numpy as np
import pytest
from fewshot_cases import pool

from configs.errors import VitrinaError
from models.fewshot.episodes import Episode, EpisodesConfig, Pool, episodes, possible

CONFIG = EpisodesConfig(queries=4, strangers=6, seed=5)
FIELDS = ("types", "support", "support_codes", "query", "query_codes", "strangers")


def same(one: Episode, other: Episode) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@pytest.mark.parametrize(("ways", "shots"), [(2, 1), (5, 1), (5, 5), (8, 11)])
def test_an_episode_teaches_and_asks_different_products_of_its_types(ways: int, shots: int) -> None:
    held = pool(8, 12)
    for episode in episodes(held, ways, shots, 20, CONFIG):
        assert len(set(episode.types)) == episode.ways == ways
        assert np.array_equal(np.bincount(episode.support_codes), np.full(ways, shots))
        assert not set(episode.support) & set(episode.query)
        assert len(set(episode.support)) == len(episode.support) and len(set(episode.query)) == len(episode.query)
        assert np.array_equal(held.codes[episode.support], episode.types[episode.support_codes])
        assert np.array_equal(held.codes[episode.query], episode.types[episode.query_codes])
        assert np.bincount(episode.query_codes).tolist() == [min(4, 12 - shots)] * ways


def test_strangers_are_of_other_types_and_there_are_none_where_all_types_are_taught() -> None:
    held = pool(6, 12)
    for episode in episodes(held, 5, 1, 20, CONFIG):
        assert len(episode.strangers) == 6 and not set(held.codes[episode.strangers]) & set(episode.types)
    assert all(not len(episode.strangers) for episode in episodes(held, 6, 1, 3, CONFIG))


def test_they_are_the_same_for_the_same_seed_and_the_nth_depends_on_no_count() -> None:
    held = pool(8, 12)
    few, many = (list(episodes(held, 5, 2, count, CONFIG)) for count in (3, 9))
    assert all(same(one, other) for one, other in zip(few, many, strict=False))
    others = list(episodes(held, 5, 2, 3, CONFIG.model_copy(update={"seed": 6})))
    assert not any(same(one, other) for one, other in zip(few, others, strict=True))


def test_types_without_a_product_to_ask_about_are_left_out() -> None:
    held = pool(4, 6)
    small = held.where((held.codes != 2) | (np.arange(len(held.codes)) % 6 < 3))
    assert possible(small, 2).tolist() == [0, 1, 2, 3] and possible(small, 3).tolist() == [0, 1, 3]
    assert all(2 not in episode.types for episode in episodes(small, 3, 3, 10, CONFIG))


@pytest.mark.parametrize(("ways", "shots"), [(1, 1), (21, 1), (2, 0), (2, 21)])
def test_wrong_ways_and_shots_are_refused_with_what_is_allowed(ways: int, shots: int) -> None:
    with pytest.raises(VitrinaError, match=f"{ways} ways, {shots} shots: allowed are 2 to 20 ways and 1 to 20 shots"):
        next(episodes(pool(), ways, shots, 1, CONFIG))


def test_too_few_types_are_told() -> None:
    with pytest.raises(VitrinaError, match="9 ways, 1 shots: only 8 types have more than 1 products"):
        next(episodes(pool(8), 9, 1, 1, CONFIG))


def test_a_part_of_a_pool_keeps_names_and_products_together() -> None:
    held = pool(5, 7, photos=True)
    part = held.of_types(["type 0.3", "type 0.1", "missing"])
    assert part.types == ("type 0.1", "type 0.3")
    assert [held.types[held.codes[product]] for product in part.product_ids] == [part.types[code] for code in part.codes]
    assert np.array_equal(part.features, held.features[part.product_ids])


def test_types_with_fewer_than_two_photos_leave_the_photo_pool() -> None:
    held: Pool = pool(3, 7, photos=True)
    assert held.has_photo is not None
    rare = replace(held, has_photo=held.has_photo & ((held.codes != 1) | (np.arange(21) == 7)))
    assert rare.with_photo.types == ("type 0.0", "type 0.2")
    assert rare.with_photo.has_photo is not None and rare.with_photo.has_photo.all()
