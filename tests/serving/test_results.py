import json
import threading

import pytest
from at_once import at_once

from configs.schema import ResultsConfig
from database import results as database_results
from database.predictions import PredictionRow
from database.results import results_bytes
from serving.results import Kept, Results, digest_of, new_id
from serving.routes._product import CategoriesIn, Embedding
from serving.schemas import ListingIn, Served


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


def body(number=0.5):
    return Embedding(
        prediction_id="old", model=Served(name="product", version=3), modalities=["title"], embedding=[number, -number]
    )


def row():
    return PredictionRow(
        model="product",
        version=3,
        endpoint="embeddings",
        latency_ms=12.0,
        inputs={"title": "é", "price": None},
        outputs={"quality": 0.5},
        embedding=b"\x00\x01",
    )


def kept(number=0.5):
    return Kept.of(body(number), [row()])


def test_an_answer_given_again_is_the_same_but_for_its_id():
    again = Kept.unpacked(kept().packed())
    assert json.loads(again.answer("new")) == body().model_dump() | {"prediction_id": "new"}


def test_monitoring_is_told_again_by_the_new_id():
    [told] = Kept.unpacked(kept().packed()).predictions("new", "embeddings/batch", 0.25)
    assert (told.id, told.latency_ms) == ("new", 0.25)
    assert told.created_at > row().created_at.replace(year=2020)
    assert told.endpoint == "embeddings/batch"
    same = ("model", "version", "inputs", "outputs", "embedding")
    assert [getattr(told, name) for name in same] == [getattr(row(), name) for name in same]


def test_what_one_process_kept_another_finds(url):
    Results(url, ResultsConfig()).keep("product", 3, {"a": kept()})
    other = Results(url, ResultsConfig())
    assert other.remembered("product", 3, ["a"]) is None
    assert other.find("product", 3, ["a", "b"]) == {"a": kept()}
    assert other.remembered("product", 3, ["a"]) == {"a": kept()}
    assert other.remembered("product", 3, ["a", "b"]) is None
    assert other.find("product", 4, ["a"]) == {}


def test_memory_is_bounded_and_the_database_still_knows(url):
    results = Results(url, ResultsConfig(), memory_bytes=1000)
    results.keep("product", 3, {f"{i}": kept(i) for i in range(50)})
    assert sum(results.remembered("product", 3, [f"{i}"]) is not None for i in range(50)) < 10
    assert results.find("product", 3, ["0"]) == {"0": kept(0)}


@pytest.mark.slow
def test_the_table_is_added_up_seldom_and_stays_near_its_bound(url, monkeypatch):
    added, real = [], database_results._bytes
    monkeypatch.setattr(database_results, "_bytes", lambda connection: added.append(1) or real(connection))
    most = 200 * len(kept().packed())
    results = Results(url, ResultsConfig(max_bytes=most))
    for number in range(600):
        results.keep("product", 3, {f"{number}": kept(number)})
    assert len(added) < 300
    assert results_bytes(url) < 1.02 * most


def test_nothing_is_kept_where_there_is_no_room(url):
    results = Results(url, ResultsConfig(max_bytes=0))
    results.keep("product", 3, {"a": kept()})
    assert results.remembered("product", 3, ["a"]) is None
    assert results.find("product", 3, ["a"]) == {}
    assert results_bytes(url) == 0


def test_a_database_that_is_away_is_said_once_and_no_reason_to_refuse(tmp_path, caplog):
    (tmp_path / "file").touch()
    results = Results(f"sqlite:///{tmp_path / 'file' / 'vitrina.db'}", ResultsConfig())
    for _ in range(3):
        assert results.find("product", 3, ["b"]) == {}
        results.keep("product", 3, {"a": kept()})
    assert results.find("product", 3, ["a"]) == {"a": kept()}
    assert len([record for record in caplog.records if "kept answers" in record.message]) == 1


@pytest.mark.slow
def test_threads_do_not_get_into_each_others_way(url):
    results, wrong = Results(url, ResultsConfig(), memory_bytes=3000), list[int]()
    turn, lock = iter(range(200)), threading.Lock()

    def work():
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            digest = f"{number % 20}"
            found = results.find("product", 3, [digest])
            if found.get(digest, kept(number % 20)) != kept(number % 20):
                wrong.append(number)
            results.keep("product", 3, {digest: kept(number % 20)})

    at_once(work)
    assert wrong == []


def test_contents_that_differ_in_anything_are_told_apart():
    plain = {"title": "Blue Shoes", "attributes": {"Fabric": "Mesh", "Sole": "Rubber"}}
    same = {"attributes": {"Sole": "Rubber", "Fabric": "Mesh"}, "title": "Blue Shoes"}
    photo = ListingIn.model_validate({"image": "aGVsbG8="})
    digests = {
        digest_of("embeddings", "v1", ListingIn.model_validate(plain)),
        digest_of("analyze", "v1", ListingIn.model_validate(plain)),
        digest_of("embeddings", "v1", ListingIn.model_validate(plain | {"price": 5.0})),
        digest_of("embeddings", "v1", ListingIn.model_validate(plain | {"title": "Blue shoes"})),
        digest_of("embeddings", "v1", CategoriesIn.model_validate(plain | {"top_k": 2})),
        digest_of("embeddings", "v1", photo),
        digest_of("embeddings", "v1", ListingIn.model_validate({"image": "aGVsbHA="})),
    }
    assert len(digests) == 7
    assert digest_of("embeddings", "v1", ListingIn.model_validate(same)) == digest_of(
        "embeddings", "v1", ListingIn.model_validate(plain)
    )


def test_ids_are_uuids_that_differ():
    assert len({new_id() for _ in range(100)}) == 100


def test_what_is_given_again_is_counted_whether_memory_or_the_database_gave_it(url, monkeypatch):
    told = []
    monkeypatch.setattr("serving.results.metrics.cache_hit", lambda count: told.append(("hit", count)))
    monkeypatch.setattr("serving.results.metrics.cache_missed", lambda count: told.append(("missed", count)))
    Results(url, ResultsConfig()).keep("product", 3, {"a": kept()})
    other = Results(url, ResultsConfig())
    assert other.remembered("product", 3, ["a"]) is None  # the database is asked next, and that is counted
    assert other.find("product", 3, ["a", "b", "a"]) == {"a": kept()}
    assert other.remembered("product", 3, ["a"]) == {"a": kept()}
    assert told == [("hit", 2), ("missed", 1), ("hit", 1), ("missed", 0)]
