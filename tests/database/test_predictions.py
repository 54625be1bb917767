import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
from at_once import at_once
from sqlalchemy import Engine, event

from database.engine import reading
from database.errors import DatabaseError, NotFound, OtherModel
from database.predictions import (
    PredictionRow,
    feedback_for,
    insert_feedback,
    insert_predictions,
    last_predictions,
    newest_predictions,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(minute: int = 0, **changes: object) -> PredictionRow:
    values = {
        "model": "product",
        "version": 1,
        "endpoint": "/v1/multimodal/analyze",
        "latency_ms": 12.5,
        "inputs": {"title": "Blå skjorta \u0000 \U0001f455", "words": 2, "price": None},
        "outputs": {"article_type": "Shirts", "confidence": 0.9},
        "created_at": NOON + timedelta(minutes=minute),
    }
    return PredictionRow(**values | changes)


def plans_of(url, ask):
    """How SQLite finds what `ask` selects from this database, first step by statement."""
    said = []

    def note(connection, cursor, statement, parameters, *others):
        if statement.startswith("SELECT") and str(connection.engine.url) == url:  # what other tests left may look at theirs
            said.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with reading(url) as connection:
        return [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", values).first().detail for asked, values in said]


def test_a_prediction_comes_back_as_it_was_written(url):
    written = row(embedding=struct.pack("<3f", 0.1, -0.5, 1.0))
    insert_predictions(url, [written])
    assert newest_predictions(url, "product", 10) == [written]


def test_the_newest_of_each_model_is_told(url):
    assert last_predictions(url) == {}
    insert_predictions(url, [row(3), row(1), row(2, model="recommender")])
    assert last_predictions(url) == {"product": NOON + timedelta(minutes=3), "recommender": NOON + timedelta(minutes=2)}


def test_the_newest_of_each_model_is_found_without_reading_all(tmp_path):
    url = f"sqlite:///{tmp_path / 'vitrina.db'}"
    insert_predictions(url, [row(), row(model="recommender")])
    plans = plans_of(url, lambda: last_predictions(url))
    assert plans
    assert all(plan.startswith("SEARCH predictions USING COVERING INDEX") for plan in plans)


def test_the_newest_of_a_version_are_found_without_reading_those_of_others(tmp_path):
    url = f"sqlite:///{tmp_path / 'vitrina.db'}"
    insert_predictions(url, [row()])
    plans = plans_of(url, lambda: newest_predictions(url, "product", 10, version=2))
    assert ["ix_predictions_model_version_created_at (model=? AND version=?)" in plan for plan in plans] == [True]


def test_newest_come_first_and_only_those_asked_for(url):
    rows = [row(minute, version=1 + minute // 3) for minute in range(6)]
    insert_predictions(url, [*rows, row(9, model="recommender")])
    assert newest_predictions(url, "product", 2) == [rows[5], rows[4]]
    assert newest_predictions(url, "product", 10, version=1) == [rows[2], rows[1], rows[0]]
    assert newest_predictions(url, "product", 10, since=NOON + timedelta(minutes=4)) == [rows[5], rows[4]]
    assert newest_predictions(url, "fewshot", 10) == []


def test_times_of_other_zones_are_compared_as_instants(url):
    east = timezone(timedelta(hours=5, minutes=30))
    early, late = row(created_at=NOON.astimezone(east)), row(1)
    insert_predictions(url, [early, late])
    found = newest_predictions(url, "product", 10)
    assert [r.id for r in found] == [late.id, early.id]
    assert found[1].created_at == NOON
    assert found[1].created_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(url):
    with pytest.raises(DatabaseError, match="no time zone"):
        insert_predictions(url, [row(created_at=datetime(2026, 1, 1))])


@pytest.mark.slow
def test_a_batch_that_is_sent_again_is_not_doubled(url):
    rows = [row(minute) for minute in range(3)]
    insert_predictions(url, rows[:2])
    insert_predictions(url, rows)
    assert newest_predictions(url, "product", 10) == rows[::-1]


def test_nan_is_refused_and_the_batch_with_it(url):
    with pytest.raises(DatabaseError, match="not JSON compliant"):
        insert_predictions(url, [row(), row(outputs={"price": float("nan")})])
    assert newest_predictions(url, "product", 10) == []


def test_feedback_is_merged_and_the_later_value_counts(url):
    first, second, third = row(0), row(1), row(2)
    insert_predictions(url, [first, second, third])
    insert_feedback(url, first.id, {"article_type": "Shirts", "price": 10.0})
    insert_feedback(url, first.id, {"article_type": "Tshirts"})
    insert_feedback(url, third.id, {"price": 5.0})
    found = feedback_for(url, [first.id, second.id, "unknown"])
    assert found == {first.id: {"article_type": "Tshirts", "price": 10.0}}


def test_feedback_for_many_ids_is_found(url):
    rows = [row(minute) for minute in range(3)]
    insert_predictions(url, rows)
    insert_feedback(url, rows[2].id, {"price": 5.0})
    assert feedback_for(url, [*(f"nobody-{i}" for i in range(2500)), rows[2].id]) == {rows[2].id: {"price": 5.0}}


def test_feedback_for_an_unknown_prediction_is_refused(url):
    with pytest.raises(NotFound, match="prediction 'nobody' does not exist"):
        insert_feedback(url, "nobody", {"price": 5.0})


def test_feedback_of_another_models_prediction_is_refused(url):
    known = row(0)
    insert_predictions(url, [known])
    with pytest.raises(OtherModel, match="is an answer of product") as caught:
        insert_feedback(url, known.id, {"verdict": "hold"}, lambda model: model == "quality")
    assert (caught.value.name, caught.value.model) == (known.id, "product")
    assert feedback_for(url, [known.id]) == {}


@pytest.mark.slow
def test_writers_in_many_threads_lose_nothing(url):
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for minute in range(10):
                insert_predictions(url, [row(minute), row(minute)])
                newest_predictions(url, "product", 1)
        except DatabaseError as error:
            errors.append(error)

    at_once(write)
    assert errors == []
    assert len(newest_predictions(url, "product", 1000)) == 80
