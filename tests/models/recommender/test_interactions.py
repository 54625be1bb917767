"""What users did: read in its order, divided, and held as histories, against cases worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recommender_cases import catalogue_of, histories_of

from configs.schema import SplitConfig
from models.recommender.interactions import Histories, HistoryConfig, split_interactions

HISTORY = HistoryConfig(cart_weight=0.5, view_weight=0.25)
SPLIT = SplitConfig()


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2025-03-01", tz="UTC") + pd.Timedelta(days=number)


def purchases(rows: str, order: str | None = None) -> pd.DataFrame:
    """`rows` as "user item place" separated by commas; `order` is what the place is."""
    cells = [[int(cell) for cell in row.split()] for row in rows.split(",")]
    frame = pd.DataFrame({"user_id": [row[0] for row in cells], "item_id": [row[1] for row in cells]})
    if order == "position":
        frame["position"] = [row[2] for row in cells]
    elif order == "timestamp":
        frame["timestamp"] = [day(row[2]) for row in cells]
    return frame


def events(*rows: tuple[object, object, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "kind", "day"])
    return frame.assign(timestamp=[day(number) for number in frame["day"]]).drop(columns="day")


def split(folder: Path, config: SplitConfig = SPLIT, **tables: pd.DataFrame) -> pd.DataFrame:
    return split_interactions(catalogue_of(folder / "catalogue", **tables), config, HISTORY)


def done(found: pd.DataFrame) -> dict[object, list[tuple[object, str]]]:
    """Items and parts by user, in order."""
    return {user: list(zip(rows["item_id"], rows["split"], strict=True)) for user, rows in found.groupby("user_id")}


@pytest.mark.parametrize("order", ["position", "timestamp"])
def test_the_last_purchase_is_test_and_the_one_before_validation(tmp_path: Path, order: str) -> None:
    rows = "2 50 3, 1 10 4, 1 30 1, 2 60 1, 1 20 2, 2 70 2, 1 40 3"
    found = split(tmp_path, purchases=purchases(rows, order))
    assert done(found) == {
        1: [(30, "train"), (20, "train"), (40, "validation"), (10, "test")],
        2: [(60, "train"), (70, "validation"), (50, "test")],
    }
    assert found["ordered"].all()
    assert (found["weight"] == 1).all()


def test_position_orders_what_was_bought_at_the_same_time(tmp_path: Path) -> None:
    table = purchases("1 10 5, 1 20 5, 1 30 2", "timestamp").assign(position=[2, 1, 9])
    assert [item for item, _ in done(split(tmp_path, purchases=table))[1]] == [30, 20, 10]


def test_users_with_fewer_than_three_purchases_are_training(tmp_path: Path) -> None:
    found = split(tmp_path, purchases=purchases("1 10 1, 2 10 1, 2 20 2, 3 10 1, 3 20 2, 3 30 3", "position"))
    parts = {user: [part for _, part in rows] for user, rows in done(found).items()}
    assert parts == {1: ["train"], 2: ["train", "train"], 3: ["train", "validation", "test"]}


def test_rows_without_a_user_or_an_item_are_left_out(tmp_path: Path) -> None:
    table = pd.DataFrame({"user_id": [1, None, 1, 1, 1], "item_id": [10, 20, None, 30, 40], "position": range(5)})
    table = table.astype({"user_id": "Int64", "item_id": "Int64"})
    assert done(split(tmp_path, purchases=table)) == {1: [(10, "train"), (30, "validation"), (40, "test")]}


def test_events_come_in_their_time_and_are_of_the_part_that_purchases_had_come_to(tmp_path: Path) -> None:
    told = events((1, 60, "view", 9), (1, 50, "purchase", 4), (1, 70, "cart", 2), (2, 10, "view", 1), (1, 80, "search", 3))
    found = split(tmp_path, purchases=purchases("1 10 1, 1 20 3, 1 30 5", "timestamp"), events=told)
    assert done(found) == {
        1: [(10, "train"), (70, "train"), (20, "train"), (50, "validation"), (30, "test"), (60, "test")],
        2: [(10, "train")],
    }
    assert found.set_index(["user_id", "item_id"])["weight"].to_dict() == {
        (1, 10): 1.0,
        (1, 70): 0.5,
        (1, 20): 1.0,
        (1, 50): 1.0,
        (1, 30): 1.0,
        (1, 60): 0.25,
        (2, 10): 0.25,
    }


def test_what_is_looked_at_between_purchases_is_known_to_the_next_alone(tmp_path: Path) -> None:
    told = events((1, 20, "view", 3), (1, 30, "cart", 6), (2, 20, "view", 9))
    found = split(tmp_path, purchases=purchases("1 10 1, 1 20 4, 1 30 7, 2 10 1, 2 20 2", "timestamp"), events=told)
    assert done(found) == {
        1: [(10, "train"), (20, "train"), (20, "validation"), (30, "validation"), (30, "test")],
        2: [(10, "train"), (20, "train"), (20, "train")],
    }


def test_events_follow_purchases_of_which_only_positions_are_known(tmp_path: Path) -> None:
    told = events((1, 50, "purchase", 2), (1, 40, "purchase", 1))
    found = split(tmp_path, purchases=purchases("1 20 2, 1 10 1", "position"), events=told)
    assert [item for item, _ in done(found)[1]] == [10, 20, 40, 50]


def test_text_ids_of_events_are_the_numbers_that_purchases_have(tmp_path: Path) -> None:
    told = events(("1", "50", "purchase", 9), ("2", "10", "purchase", 9))
    found = split(tmp_path, purchases=purchases("1 10 1, 1 20 2", "timestamp"), events=told)
    assert {user: [item for item, _ in rows] for user, rows in done(found).items()} == {1: [10, 20, 50], 2: [10]}


def test_ids_become_text_where_some_are_no_numbers(tmp_path: Path) -> None:
    told = events(("1", "50", "purchase", 9), ("guest-7", "10", "purchase", 9))
    found = split(tmp_path, purchases=purchases("1 10 1, 1 20 2", "timestamp"), events=told)
    assert {user: [item for item, _ in rows] for user, rows in done(found).items()} == {"1": [10, 20, 50], "guest-7": [10]}


def test_a_given_test_split_is_kept(tmp_path: Path) -> None:
    test = pd.DataFrame({"user_id": ["1", "3", "3"], "item_id": ["90", "90", "90"]})
    found = split(tmp_path, purchases=purchases("1 10 1, 1 20 2, 2 10 1, 3 30 1", "position"), purchases_test=test)
    assert done(found) == {
        1: [(10, "train"), (20, "validation"), (90, "test")],
        2: [(10, "train")],
        3: [(30, "train"), (90, "test")],
    }


def crowd(users: int = 200, each: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [{"user_id": user, "item_id": int(item)} for user in range(users) for item in rng.permutation(50)[:each]]
    return pd.DataFrame(rows)


def test_without_an_order_pairs_are_divided_by_hash(tmp_path: Path) -> None:
    table = crowd()
    found = split(tmp_path, purchases=table)
    assert not found["ordered"].any()
    shares = found["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.1, abs=0.02)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)


def test_the_hash_split_moves_no_pair_when_rows_are_added_or_turned(tmp_path: Path) -> None:
    table = crowd()
    keys = ["user_id", "item_id"]
    before = split(tmp_path / "a", purchases=table).set_index(keys)["split"]
    grown = pd.concat([table, table.assign(user_id=table["user_id"] + 1000)]).sample(frac=1.0, random_state=1)
    after = split(tmp_path / "b", purchases=grown).set_index(keys)["split"]
    assert after.loc[before.index].equals(before)


def test_without_an_order_a_single_purchase_is_training(tmp_path: Path) -> None:
    found = split(tmp_path, SplitConfig(validation=0.45, test=0.5), purchases=crowd(users=100, each=1))
    assert (found["split"] == "train").all()


def test_a_given_test_split_without_order_takes_validation_alone_from_the_purchases(tmp_path: Path) -> None:
    table = crowd()
    test = pd.DataFrame({"user_id": range(200), "item_id": 77})
    found = split(tmp_path, purchases=table, purchases_test=test)
    assert (found.loc[found["item_id"] == 77, "split"] == "test").all()
    rest = found[found["item_id"] != 77]
    assert set(rest["split"]) == {"train", "validation"}
    assert (rest["split"] == "validation").mean() == pytest.approx(0.1, abs=0.02)


def test_histories_hold_each_item_at_its_newest_place_with_its_largest_weight() -> None:
    users = np.array([2, 0, 2, 2, 0, 2])
    items = np.array([5, 1, 7, 5, 3, 7])
    found = Histories.of(users, items, np.array([1.0, 0.5, 0.25, 0.5, 1.0, 1.0]), 4)
    assert len(found) == 4
    assert found.offsets.tolist() == [0, 2, 2, 4, 4]
    assert [found.user(u)[0].tolist() for u in range(4)] == [[1, 3], [], [5, 7], []]
    assert [found.user(u)[1].tolist() for u in range(4)] == [[0.5, 1.0], [], [1.0, 1.0], []]
    assert found.lengths.tolist() == [2, 0, 2, 0]


def test_histories_of_nothing() -> None:
    found = histories_of([], [])
    assert found.lengths.tolist() == [0, 0]
    assert found.newest(3).lengths.tolist() == [0, 0]
    assert found.select([1, 1, 0]).lengths.tolist() == [0, 0, 0]
    assert found.matrix(4, decay=0.5).toarray().tolist() == [[0.0] * 4] * 2
    codes, there = found.padded(3)
    assert codes.shape == there.shape == (2, 1)
    assert not there.any()


def test_select_gives_users_in_the_order_asked_for() -> None:
    found = histories_of([4, 2], [], [9, 8, 7], weights=[1, 0.5, 1, 1, 0.25]).select([2, 0, 1, 2])
    assert [found.user(u)[0].tolist() for u in range(4)] == [[9, 8, 7], [4, 2], [], [9, 8, 7]]
    assert found.user(0)[1].tolist() == [1, 1, 0.25]
    assert found.user(1)[1].tolist() == [1, 0.5]


def test_newest_keeps_the_end_of_long_histories() -> None:
    found = histories_of([4, 2], [], [9, 8, 7, 6], weights=[1, 0.5, 0.1, 0.2, 0.3, 0.4]).newest(2)
    assert [found.user(u)[0].tolist() for u in range(3)] == [[4, 2], [], [7, 6]]
    assert found.user(2)[1].tolist() == pytest.approx([0.3, 0.4])


def test_age_counts_what_came_later() -> None:
    assert histories_of([4, 2], [], [9, 8, 7]).age().tolist() == [1, 0, 2, 1, 0]


def test_matrix_fades_older_items() -> None:
    found = histories_of([3, 1], [0, 1, 2], weights=[1, 0.5, 1, 1, 1])
    assert found.matrix(4).toarray().tolist() == [[0, 0.5, 0, 1], [1, 1, 1, 0]]
    half = found.matrix(4, decay=np.log(2)).toarray()
    assert half.tolist() == [pytest.approx([0, 0.5, 0, 0.5]), pytest.approx([0.25, 0.5, 1, 0])]


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_order_of_a_history_outlives_what_is_done_to_its_matrix(decay: float) -> None:
    histories = histories_of([3, 1, 2], [2, 0], weights=[1, 0.5, 0.2, 1, 0.7])
    matrix = histories.matrix(4, decay)
    matrix.data[:] = 0
    matrix.sort_indices()
    assert histories.items.tolist() == [3, 1, 2, 2, 0]
    assert histories.weights.tolist() == pytest.approx([1, 0.5, 0.2, 1, 0.7])


def test_padded_rows_end_with_what_is_not_there() -> None:
    codes, there = histories_of([4, 2], [], [9, 8, 7]).padded(2)
    assert codes.tolist() == [[4, 2], [0, 0], [8, 7]]
    assert there.tolist() == [[True, True], [False, False], [True, True]]
    codes, there = histories_of([4], [9, 8, 7]).padded(50)
    assert codes.tolist() == [[4, 0, 0], [9, 8, 7]]
    assert there.tolist() == [[True, False, False], [True, True, True]]
