from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import command
from alembic.config import Config
from at_once import at_once

from database.engine import engine, migrate, reading
from database.errors import DatabaseError, NotFound, OtherModel
from database.events import EventRow, Past, all_events, all_query, insert_events, newest_events, newest_query
from database.predictions import PredictionRow, feedback_for, insert_predictions

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID = "00000000-0000-4000-8000-00000000000{}"


def event(minute: int = 0, **changes: object) -> EventRow:
    values = {"user_id": "u", "item_id": f"i{minute}", "kind": "view", "occurred_at": NOON + timedelta(minutes=minute)}
    return EventRow(**values | changes)


def prediction(number: int = 1) -> PredictionRow:
    return PredictionRow(
        id=ID.format(number), model="recommender", version=1, endpoint="recommendations", latency_ms=1.0, inputs={}, outputs={}
    )


def test_an_event_comes_back_as_it_was_written(url):
    written = event(user_id="Åsa \U0001f455", item_id="../5", kind="cart", prediction_id=ID.format(1))
    assert insert_events(url, [written]) == 1
    assert list(all_events(url)) == [written]
    assert newest_events(url, written.user_id, 10) == [Past("../5", "cart", NOON)]


def test_the_newest_of_a_user_come_oldest_first_whatever_the_order_they_were_told_in(url):
    rows = [event(minute) for minute in (3, 0, 4, 1, 2)]
    assert insert_events(url, [*rows, event(9, user_id="v")]) == 6
    assert [row.item_id for row in newest_events(url, "u", 3)] == ["i2", "i3", "i4"]
    assert [row.item_id for row in newest_events(url, "u", 200)] == ["i0", "i1", "i2", "i3", "i4"]
    assert newest_events(url, "nobody", 3) == []


def test_events_of_one_moment_keep_the_order_they_were_told_in(url):
    rows = [event(0, item_id=str(i)) for i in range(20)]
    for start in range(0, 20, 5):
        insert_events(url, rows[start : start + 5])
    assert [row.item_id for row in newest_events(url, "u", 7)] == [row.item_id for row in rows[13:]]
    assert list(all_events(url)) == rows


def test_all_events_come_in_the_order_of_time_in_batches_of_any_size(url):
    rows = [event(minute, user_id=f"u{minute % 3}") for minute in range(10)]
    insert_events(url, rows[::-1])
    for batch in (1, 3, 10, 100):
        assert list(all_events(url, batch)) == rows


def test_all_events_are_those_of_one_moment_and_writers_do_not_wait_for_the_reader(url):
    insert_events(url, [event(minute) for minute in range(4)])
    seen = []
    for row in all_events(url, batch=1):
        seen.append(row)
        insert_events(url, [event(50)])
    assert len(seen) == 4
    assert len(list(all_events(url))) == 8


def test_times_of_other_zones_are_compared_as_instants(url):
    east = timezone(timedelta(hours=5, minutes=30))
    insert_events(url, [event(1), event(0, occurred_at=NOON.astimezone(east))])
    found = newest_events(url, "u", 10)
    assert [row.item_id for row in found] == ["i0", "i1"]
    assert found[0].occurred_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused_and_the_whole_transaction_with_it(url):
    with pytest.raises(DatabaseError, match="no time zone"):
        insert_events(url, [event(), event(occurred_at=datetime(2026, 1, 1))])
    assert list(all_events(url)) == []


def test_an_event_that_is_told_again_is_there_once(url):
    first, second = event(event_id=ID.format(1)), event(1, event_id=ID.format(2))
    assert insert_events(url, [first]) == 1
    assert insert_events(url, [event(7, event_id=ID.format(1)), second]) == 1
    assert insert_events(url, [first, second]) == 0
    third = event(2, event_id=ID.format(3))
    assert insert_events(url, [third, event(8, event_id=ID.format(3))]) == 1
    assert list(all_events(url)) == [first, second, third]
    assert insert_events(url, []) == 0


def test_a_purchase_that_names_a_prediction_is_feedback_once(url):
    insert_predictions(url, [prediction(1), prediction(2)])
    bought = event(kind="purchase", prediction_id=ID.format(1))
    others = [event(1, prediction_id=ID.format(2)), event(2, kind="cart", prediction_id=ID.format(2)), event(3, kind="purchase")]
    insert_events(url, [bought, *others])
    insert_events(url, [EventRow(**vars(bought) | {"item_id": "other"})])  # a retry, by its id
    assert feedback_for(url, [ID.format(1), ID.format(2)]) == {ID.format(1): {"item_id": "i0"}}
    insert_events(url, [event(4, kind="purchase", prediction_id=ID.format(1))])
    assert feedback_for(url, [ID.format(1)]) == {ID.format(1): {"item_id": "i4"}}


def test_an_unknown_prediction_leaves_neither_events_nor_feedback(url):
    insert_predictions(url, [prediction(1)])
    rows = [event(number, kind="purchase", prediction_id=ID.format(number)) for number in (1, 2)]
    with pytest.raises(NotFound, match=f"prediction '{ID.format(2)}' does not exist") as caught:
        insert_events(url, rows)
    assert caught.value.name == ID.format(2)
    assert list(all_events(url)) == []
    assert feedback_for(url, [ID.format(1)]) == {}


def test_a_purchase_that_names_another_models_prediction_leaves_nothing(url):
    insert_predictions(url, [prediction(1)])
    with pytest.raises(OtherModel, match=f"'{ID.format(1)}' is an answer of recommender"):
        insert_events(url, [event(kind="purchase", prediction_id=ID.format(1))], lambda model: model == "other")
    assert list(all_events(url)) == []


def test_the_same_events_from_many_threads_are_there_once(url):
    errors: list[BaseException] = []
    counts: list[int] = []

    def write() -> None:
        try:
            for number in range(10):
                counts.append(insert_events(url, [event(number, event_id=ID.format(number)), event(number, user_id="v")]))
                newest_events(url, "u", 5)
        except DatabaseError as error:
            errors.append(error)

    at_once(write)
    assert errors == []
    assert sum(counts) == 50
    assert len(newest_events(url, "u", 100)) == 10
    assert len(newest_events(url, "v", 100)) == 40


def test_both_questions_are_answered_from_an_index_without_sorting(tmp_path):
    url = f"sqlite:///{tmp_path / 'vitrina.db'}"

    def plan(query: object) -> str:
        text = str(query.compile(engine(url), compile_kwargs={"literal_binds": True}))
        with reading(url) as connection:
            return " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))

    mine, everything = plan(newest_query("u", 200)), plan(all_query())
    assert "USING INDEX ix_events_user_id_occurred_at_id (user_id=?)" in mine
    assert "USING INDEX ix_events_occurred_at_id" in everything
    assert "TEMP B-TREE" not in mine + everything


def test_a_database_of_the_revision_before_is_brought_up_to_date_and_keeps_its_rows(url):
    insert_predictions(url, [prediction(1)])
    config = Config()
    config.set_main_option("script_location", "database:migrations")
    with engine(url).connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert "events" not in engine(url).dialect.get_table_names(connection)
    migrate(url)
    insert_events(url, [event(kind="purchase", prediction_id=ID.format(1))])
    assert feedback_for(url, [ID.format(1)]) == {ID.format(1): {"item_id": "i0"}}
