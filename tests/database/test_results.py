import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from at_once import at_once

from database.errors import DatabaseError
from database.results import keep_results, known_results, results_bytes

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def keep(url, values, minute=0, used=(), version=1, max_bytes=1000):
    keep_results(url, "product", version, values, max_bytes=max_bytes, used=used, now=NOON + timedelta(minutes=minute))


def test_what_was_kept_is_known_to_its_model_and_version_alone(url):
    keep(url, {"a": b"one", "b": b"\x00two"})
    assert known_results(url, "product", 1, ["a", "b", "c"]) == {"a": b"one", "b": b"\x00two"}
    assert known_results(url, "product", 2, ["a"]) == {}
    assert known_results(url, "quality", 1, ["a"]) == {}
    keep(url, {"a": b"other"}, version=2)
    assert known_results(url, "product", 1, ["a"]) == {"a": b"one"}


def test_the_first_value_of_a_content_stays(url):
    keep(url, {"a": b"one"})
    keep(url, {"a": b"two"})
    assert known_results(url, "product", 1, ["a"]) == {"a": b"one"}


def test_the_longest_unused_go_first_and_room_is_made_for_some_more(url):
    for minute in range(10):
        keep(url, {f"{minute}": bytes(100)}, 20 * minute)
    assert results_bytes(url) == 1000
    keep(url, {}, 300, used=["0", "2"])
    keep(url, {"new": bytes(100)}, 301)
    left = known_results(url, "product", 1, [*map(str, range(10)), "new"])
    assert set(left) == {"0", "2", "4", "5", "6", "7", "8", "9", "new"}
    assert results_bytes(url) == 900


def test_a_value_larger_than_all_the_room_is_not_kept(url):
    keep(url, {"small": bytes(10), "large": bytes(1001)})
    assert set(known_results(url, "product", 1, ["small", "large"])) == {"small"}
    keep(url, {"any": b"x"}, max_bytes=0)
    assert known_results(url, "product", 1, ["any"]) == {}


@pytest.mark.slow
def test_thousands_are_kept_and_found_at_once(url):
    values = {f"{i}": f"{i}".encode() for i in range(3000)}
    keep(url, values, max_bytes=10**6)
    assert known_results(url, "product", 1, list(values)) == values


@pytest.mark.slow
def test_several_that_keep_the_same_at_once_all_succeed(url):
    at_once(lambda: keep(url, {f"{i}": b"x" for i in range(50)}), threads=8)
    assert results_bytes(url) == 50


@pytest.mark.slow
def test_several_that_keep_the_same_in_another_order_wait_for_each_other(url):
    names, begin = [f"{i:04}" for i in range(3000)], threading.Barrier(2)

    def work(order):
        for version in range(3):
            begin.wait(60)
            keep(url, dict.fromkeys(order, b"x"), version=version, max_bytes=10**6)

    keep(url, {})
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, order) for order in (names, names[::-1])]:
            done.result()
    assert results_bytes(url) == 9000


def test_a_database_that_is_away_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="file"):
        known_results(f"sqlite:///{tmp_path / 'file' / 'vitrina.db'}", "product", 1, ["a"])
