"""POST /v1/recommendations and /v1/recommendations/events through the whole application."""

import json
import logging
import re
import threading
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from homes import settings_of
from sqlalchemy import text
from starlette.testclient import TestClient

from configs.errors import VitrinaError
from configs.settings import Settings
from database.engine import writing
from database.events import EventRow, all_events, insert_events, newest_events
from database.predictions import feedback_for, newest_predictions
from models.recommender.answers import Event
from serving.app import create_app
from tests.serving.conftest import CONFIG, LIMIT, Source, quick, refused, serving, taken, wait_until

URL = "/v1/recommendations"
EVENTS = "/v1/recommendations/events"
BOTH = CONFIG.model_copy(update={"models": ("product", "recommender")})
JSON = {"content-type": "application/json"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
EVENT = {"user_id": "u", "item_id": "i", "kind": "view"}


@pytest.fixture(scope="module")
def config():
    return BOTH


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """A client of an application to which no event was told, and its database."""
    home = tmp_path_factory.mktemp("silent")
    with serving(home, BOTH) as client:
        yield client, settings_of(home).database_url


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("serving.storage.WAITS", (0.01,))


def ask(client, **body):
    return client.post(URL, json=body)


def tell(client, *events):
    return client.post(EVENTS, json={"events": list(events)})


def asked(source):
    return source.recommenders[1].asked[-1]


# What is answered


def test_a_known_user_gets_items_with_scores_parts_and_reasons(steady):
    response = ask(steady, user_id="known", recent_items=["a"], num_recs=2)
    assert response.status_code == 200
    answer = response.json()
    assert str(uuid.UUID(answer.pop("prediction_id")))
    reason = {
        "kind": "bought_next",
        "text": "Often bought after a.",
        "item_id": "a",
        "attributes": ["Fabric: Cotton"],
        "drop": 0.25,
    }
    assert answer == {
        "model": {"name": "recommender", "version": 1},
        "basis": "history",
        "history": 3,
        "ignored": [],
        "items": [
            {
                "item_id": 7,
                "title": "Blue Denim Jacket",
                "price": 2199.5,
                "article_type": "Jackets",
                "score": 1.0,
                "parts": {"graph": 0.7, "sequence": 0.3},
                "reason": reason,
            },
            {
                "item_id": "next 1",
                "title": None,
                "price": None,
                "article_type": None,
                "score": 0.995,
                "parts": {"graph": 0.695, "sequence": 0.3},
                "reason": reason,
            },
        ],
    }


def test_a_visitor_is_answered_from_the_session(steady):
    answer = ask(steady, recent_items=["a", "unknown"]).json()
    assert (answer["basis"], answer["history"], answer["ignored"]) == ("session", 2, ["unknown"])
    assert len(answer["items"]) == 10


@pytest.mark.parametrize("body", [{}, {"user_id": None}, {"user_id": "nobody"}, {"user_id": 99, "recent_items": []}])
def test_who_is_not_known_gets_what_is_popular(steady, body):
    answer = ask(steady, **body).json()
    assert (answer["basis"], answer["history"]) == ("popularity", 0)
    popular = {"kind": "popular", "text": "Bought by many.", "item_id": None, "attributes": [], "drop": 0.5}
    assert answer["items"][0]["reason"] == popular


def test_the_model_gets_the_query_as_it_was_sent(client, source):
    recent = ["a", 5, {"item_id": "b", "kind": "view"}, {"item_id": "c", "kind": "cart", "at": "2026-01-02T05:30:00+05:30"}]
    bounds = {"categories": ["Shirts", "Shoes"], "price_min": 0, "price_max": 99.5, "exclude_bought": False}
    assert ask(client, user_id=5, recent_items=recent, num_recs=100, diversity=1, **bounds).status_code == 200
    query = asked(source)
    assert (query.user_id, query.num_recs, query.diversity, query.exclude_bought) == (5, 100, 1.0, False)
    assert (query.categories, query.price_min, query.price_max) == (("Shirts", "Shoes"), 0.0, 99.5)
    assert query.events == (
        Event("a"),
        Event(5),
        Event("b", "view"),
        Event("c", "cart", datetime(2026, 1, 2, tzinfo=UTC)),
    )
    ask(client)
    query = asked(source)
    assert (query.user_id, query.events, query.categories, query.price_min, query.price_max) == (None, (), (), None, None)
    assert (query.num_recs, query.diversity, query.exclude_bought) == (10, 0.0, True)


@pytest.mark.slow
def test_ids_may_be_any_line_of_text_and_are_only_ever_values(client, source, settings):
    names = ["../../etc/passwd", "'; DROP TABLE events; --", "小さい 👗", "%00", "a" * 200, -(2**63), 2**63 - 1, " ", "\u200d"]
    for name in names:
        assert tell(client, EVENT | {"user_id": name, "item_id": name}).status_code == 201
        assert ask(client, user_id=name).status_code == 200
        assert asked(source).user_id == name
        assert [event.item_id for event in asked(source).events] == [str(name)]
    assert len(list(all_events(settings.database_url))) == len(names)


# What is refused

A_DAY_AND_MORE = (datetime.now(UTC) + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"user": "u"}, "user", "unknown field 'user'; allowed: user_id, recent_items"),
        ({"user_id": True}, "user_id", "must be an integer of 64 bits or a string of 1 to 200 characters"),
        ({"user_id": False}, "user_id", "must be an integer"),
        ({"user_id": 1.5}, "user_id", "must be an integer"),
        ({"user_id": 2**63}, "user_id", "64 bits"),
        ({"user_id": 10**400}, "user_id", "64 bits"),
        ({"user_id": ""}, "user_id", "1 to 200 characters"),
        ({"user_id": "u" * 201}, "user_id", "1 to 200 characters"),
        ({"user_id": "a\x00b"}, "user_id", "control characters"),
        ({"user_id": "a\nb"}, "user_id", "control characters"),
        ({"user_id": "a\x7f"}, "user_id", "control characters"),
        ({"user_id": "a\x85"}, "user_id", "control characters"),
        ({"user_id": ["u"]}, "user_id", "must be an integer"),
        ({"user_id": {"$ne": ""}}, "user_id", "must be an integer"),
        ({"recent_items": "a"}, "recent_items", "valid array"),
        ({"recent_items": ["a"] * 201}, "recent_items", "at most 200"),
        ({"recent_items": ["a", True]}, "recent_items.1", "must be an integer"),
        ({"recent_items": ["a", None]}, "recent_items.1", "must be an integer"),
        ({"recent_items": [["a"]]}, "recent_items.0", "must be an integer"),
        ({"recent_items": [{}]}, "recent_items.0.item_id", "required"),
        ({"recent_items": [{"item_id": True}]}, "recent_items.0.item_id", "must be an integer"),
        ({"recent_items": [{"item_id": "a", "kind": "like"}]}, "recent_items.0.kind", "'view', 'cart' or 'purchase'"),
        ({"recent_items": [{"item_id": "a", "when": "now"}]}, "recent_items.0.when", "unknown field"),
        ({"recent_items": [{"item_id": "a", "at": "2026-01-01T00:00:00"}]}, "recent_items.0.at", "with a zone"),
        ({"recent_items": [{"item_id": "a", "at": A_DAY_AND_MORE}]}, "recent_items.0.at", "a day in the future"),
        ({"categories": "Shirts"}, "categories", "valid array"),
        ({"categories": [""]}, "categories.0", "at least 1"),
        ({"categories": ["a" * 201]}, "categories.0", "at most 200"),
        ({"categories": ["a\x00"]}, "categories.0", "control characters"),
        ({"categories": ["a"] * 51}, "categories", "at most 50"),
        ({"price_min": -1}, "price_min", "greater than or equal to 0"),
        ({"price_min": "1"}, "price_min", "valid number"),
        ({"price_min": True}, "price_min", "valid number"),
        ({"price_max": 2e12}, "price_max", "less than or equal"),
        ({"price_min": 5, "price_max": 4.5}, "price_max", "must be at least price_min, 5"),
        ({"exclude_bought": "yes"}, "exclude_bought", "valid boolean"),
        ({"exclude_bought": 1}, "exclude_bought", "valid boolean"),
        ({"exclude_bought": None}, "exclude_bought", "valid boolean"),
        ({"num_recs": 0}, "num_recs", "greater than or equal to 1"),
        ({"num_recs": 101}, "num_recs", "less than or equal to 100"),
        ({"num_recs": 5.5}, "num_recs", "valid integer"),
        ({"num_recs": True}, "num_recs", "valid integer"),
        ({"diversity": 1.01}, "diversity", "less than or equal to 1"),
        ({"diversity": -0.1}, "diversity", "greater than or equal to 0"),
        ({"diversity": True}, "diversity", "valid number"),
    ],
)
def test_a_wrong_query_is_named(steady, body, field, says):
    assert says in refused(ask(steady, **body), 400, "invalid_input", field)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"user_id": None}, "events.1.user_id", "must be an integer"),
        ({"user_id": True}, "events.1.user_id", "must be an integer"),
        ({"item_id": True}, "events.1.item_id", "must be an integer"),
        ({"item_id": "a\tb"}, "events.1.item_id", "control characters"),
        ({"item_id": "a" * 201}, "events.1.item_id", "1 to 200 characters"),
        ({"item_id": 1e300}, "events.1.item_id", "must be an integer"),
        ({"kind": "PURCHASE"}, "events.1.kind", "'view', 'cart' or 'purchase'"),
        ({"kind": None}, "events.1.kind", "'view', 'cart' or 'purchase'"),
        ({"at": 1767225600}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": "2026-01-01"}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": "2026-13-01T00:00:00Z"}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": "9999-12-31T23:59:59-23:59"}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": "9" * 5000}, "events.1.at", "ISO 8601 time with a zone"),
        ({"at": A_DAY_AND_MORE}, "events.1.at", "a day in the future"),
        ({"event_id": "1"}, "events.1.event_id", "pattern"),
        ({"event_id": UNKNOWN + "\n"}, "events.1.event_id", "pattern"),
        ({"event_id": "../" + UNKNOWN}, "events.1.event_id", "pattern"),
        ({"event_id": 7}, "events.1.event_id", "valid string"),
        ({"prediction_id": "' OR 1=1 --"}, "events.1.prediction_id", "pattern"),
        ({"price": 5}, "events.1.price", "unknown field"),
    ],
)
def test_a_wrong_event_is_named_and_no_event_of_the_request_is_stored(silent, change, field, says):
    client, url = silent
    assert says in refused(tell(client, EVENT, EVENT | change), 400, "invalid_input", field)
    assert list(all_events(url)) == []


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "events", "required"),
        ({"events": []}, "events", "at least 1"),
        ({"events": None}, "events", "valid array"),
        ({"events": EVENT}, "events", "valid array"),
        ({"events": [EVENT] * 5}, "events", "at most 4"),
        ({"events": [{"user_id": "u", "item_id": "i"}]}, "events.0.kind", "required"),
        ({"events": [{"item_id": "i", "kind": "view"}]}, "events.0.user_id", "required"),
        ({"events": [{"user_id": "u", "kind": "view"}]}, "events.0.item_id", "required"),
        ({"events": ["i"]}, "events.0", "object"),
        ({"events": [EVENT], "user_id": "u"}, "user_id", "unknown field 'user_id'; allowed: events"),
    ],
)
def test_what_is_no_list_of_events_is_refused(steady, body, field, says):
    assert says in refused(steady.post(EVENTS, json=body), 400, "invalid_input", field)


def test_what_the_catalogue_cannot_meet_is_the_clients_fault_and_what_breaks_is_ours(steady):
    assert "it has: Shirts, Shoes" in refused(ask(steady, categories=["refused"]), 400, "invalid_input")
    assert "a bug" not in refused(ask(steady, categories=["crash"]), 500, "internal")
    assert ask(steady).status_code == 200


@quick(BOTH)
def test_an_answer_that_takes_too_long_is_given_up(client, source):
    source.recommenders[1].seconds = 0.3
    refused(ask(client), 504, "timeout")


@pytest.mark.slow
def test_more_than_may_wait_are_told_to_come_again(client, source):
    source.recommenders[1].seconds = 0.3
    with ThreadPoolExecutor(30) as pool:
        statuses = set(pool.map(lambda _: ask(client).status_code, range(30)))
    assert statuses <= {200, 503}
    assert 200 in statuses


# Events


def test_an_event_shows_in_the_users_next_answer_and_in_nobody_elses(client, source):
    assert ask(client, user_id="u").json()["basis"] == "popularity"
    response = tell(client, EVENT, EVENT | {"item_id": "j", "kind": "cart"}, EVENT | {"user_id": "v", "item_id": "k"})
    assert (response.status_code, response.json()) == (201, {"count": 3, "repeated": 0})
    answer = ask(client, user_id="u", recent_items=["now"]).json()
    assert (answer["basis"], answer["history"]) == ("session", 3)
    assert [(event.item_id, event.kind) for event in asked(source).events] == [
        ("i", "view"),
        ("j", "cart"),
        ("now", "purchase"),
    ]
    assert asked(source).events[0].at < asked(source).events[1].at  # told without times: in the order of the list
    assert ask(client, recent_items=["now"]).json()["history"] == 1
    assert ask(client, user_id="w").json()["history"] == 0


@pytest.mark.slow
def test_an_event_shows_in_the_next_answer_of_another_worker(client, settings, config):
    other = Source()
    with TestClient(create_app(settings, config, other)) as second:
        wait_until(lambda: second.get("/readyz").status_code == 200)
        for number in range(5):
            assert tell(client, EVENT | {"item_id": f"i{number}", "kind": "purchase"}).status_code == 201
            assert ask(second, user_id="u").json()["history"] == number + 1
            assert asked(other).events[-1].item_id == f"i{number}"
        assert tell(second, EVENT | {"item_id": "back"}).status_code == 201
        assert ask(client, user_id="u").json()["history"] == 6


def test_a_number_and_its_text_are_the_same_user(client, source):
    tell(client, EVENT | {"user_id": 5, "item_id": 6})
    tell(client, EVENT | {"user_id": "5", "item_id": "7"})
    assert ask(client, user_id=5).json()["history"] == ask(client, user_id="5").json()["history"] == 2
    assert [event.item_id for event in asked(source).events] == ["6", "7"]


def test_the_newest_200_events_of_a_user_come_in_the_order_of_time(client, source, settings):
    now = datetime.now(UTC)
    rows = [EventRow(user_id="u", item_id=str(i), kind="view", occurred_at=now - timedelta(seconds=1000 - i)) for i in range(250)]
    insert_events(settings.database_url, rows[::-1])
    early, late = (now - timedelta(days=1)).isoformat(), (now + timedelta(hours=23)).isoformat()
    tell(client, EVENT | {"item_id": "late", "at": late}, EVENT | {"item_id": "early", "at": early})
    assert ask(client, user_id="u", recent_items=["r"]).json()["history"] == 201
    items = [event.item_id for event in asked(source).events]
    assert items == [*(str(i) for i in range(51, 250)), "late", "r"]


def test_an_event_that_is_sent_again_counts_once(client, settings):
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert tell(client, EVENT | {"event_id": first}).json() == {"count": 1, "repeated": 0}
    assert tell(client, EVENT | {"event_id": first}, EVENT | {"event_id": second}).json() == {"count": 2, "repeated": 1}
    assert tell(client, EVENT | {"event_id": second.upper()}).json() == {"count": 1, "repeated": 1}
    third = EVENT | {"event_id": str(uuid.uuid4())}
    assert tell(client, third, third).json() == {"count": 2, "repeated": 1}
    assert ask(client, user_id="u").json()["history"] == 3
    assert [row.event_id for row in all_events(settings.database_url)] == [first, second, third["event_id"]]


def test_a_request_that_is_sent_again_with_its_key_counts_once(client, settings):
    body = {"events": [EVENT, EVENT, EVENT | {"kind": "cart", "at": "2026-01-02T05:30:00Z"}]}

    def send(key, body):
        response = client.post(EVENTS, json=body, headers={"Idempotency-Key": key})
        assert response.status_code == 201
        return response.json()

    assert send("first", body) == {"count": 3, "repeated": 0}
    assert send("first", body) == {"count": 3, "repeated": 3}
    assert send("second", body) == {"count": 3, "repeated": 0}
    assert send("first", {"events": [EVENT | {"user_id": "v"}]}) == {"count": 1, "repeated": 0}  # other events, not a repetition
    assert len(list(all_events(settings.database_url))) == 7
    for key in ("", "a b", "x" * 256):
        refused(client.post(EVENTS, json=body, headers={"Idempotency-Key": key}), 400, "invalid_input", "Idempotency-Key")


def test_the_same_key_of_another_owner_is_another_one(client, settings):
    def of(owner):
        async def app(scope, receive, send):
            await client.app({**scope, "state": {**scope.get("state", {}), "key": owner}}, receive, send)

        return TestClient(app)

    def send(owner):
        response = of(owner).post(EVENTS, json={"events": [EVENT]}, headers={"Idempotency-Key": "1"})
        assert response.status_code == 201
        return response.json()["repeated"]

    assert [send("ann"), send("bob"), send("ann"), send("bob")] == [0, 0, 1, 1]
    assert len(list(all_events(settings.database_url))) == 2


def test_a_whole_number_with_a_fraction_of_zero_is_that_number(client, source):
    assert ask(client, user_id=5.0, num_recs=2.0).status_code == 200
    query = asked(source)
    assert (query.user_id, query.num_recs) == (5, 2)
    assert isinstance(query.user_id, int)


@pytest.mark.slow
def test_the_same_events_sent_by_many_at_once_count_once(client, settings):
    events = [EVENT | {"event_id": str(uuid.uuid4()), "item_id": str(i)} for i in range(4)]
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: tell(client, *events), range(24)))
    assert {response.status_code for response in responses} == {201}
    assert sum(response.json()["repeated"] for response in responses) == 4 * 23
    assert [row.item_id for row in newest_events(settings.database_url, "u", 10)] == ["0", "1", "2", "3"]


def test_events_are_taken_while_no_recommender_answers(settings, config, source):
    source.errors["recommender"] = VitrinaError("model 'recommender' has no champion")
    with TestClient(create_app(settings, config, source)) as made:
        assert tell(made, EVENT).status_code == 201
    assert len(newest_events(settings.database_url, "u", 10)) == 1


# Feedback


def test_an_answer_is_logged_and_a_purchase_that_names_it_is_feedback(client, settings):
    url = settings.database_url
    answer = ask(client, user_id="u", recent_items=["a", {"item_id": "b", "kind": "view"}], num_recs=2).json()
    bought = EVENT | {"kind": "purchase", "item_id": 7, "prediction_id": answer["prediction_id"]}
    assert tell(client, bought).status_code == 201  # at once, though the log writes later
    assert feedback_for(url, [answer["prediction_id"]]) == {answer["prediction_id"]: {"item_id": "7"}}
    [row] = newest_predictions(url, "recommender", 10)
    assert (row.id, row.version, row.endpoint, row.embedding) == (answer["prediction_id"], 1, "recommendations", None)
    assert 0 < row.latency_ms < 2000
    assert len(row.inputs.pop("asker")) == 16
    assert row.inputs == {"history_length": 2, "new_events": 2, "history_popularity": 0.75, "basis": "session"}
    assert row.outputs == {
        "shown": 2,
        "shown_popularity": 0.5,
        "top_reason": "bought_next",
        "predicted_item_id": ["7", "next 1"],
    }


def test_feedback_names_the_item_that_was_chosen(client, settings):
    for item in ("next 1", 7):
        prediction = ask(client).json()["prediction_id"]
        body = {"prediction_id": prediction, "labels": {"item_id": item}}
        assert client.post("/v1/feedback", json=body).status_code == 201
        assert feedback_for(settings.database_url, [prediction])[prediction] == {"item_id": str(item)}
    wrong = {"prediction_id": UNKNOWN, "labels": {"item_id": True}}
    refused(client.post("/v1/feedback", json=wrong), 400, "invalid_input", "labels.item_id")


def test_views_and_retries_are_no_feedback(client, settings):
    prediction = ask(client).json()["prediction_id"]
    seen = [EVENT | {"kind": kind, "prediction_id": prediction} for kind in ("view", "cart")]
    bought = EVENT | {"kind": "purchase", "item_id": "x", "prediction_id": prediction, "event_id": str(uuid.uuid4())}
    tell(client, *seen)
    assert feedback_for(settings.database_url, [prediction]) == {}
    assert tell(client, bought).status_code == 201
    assert tell(client, bought | {"item_id": "y"}).json() == {"count": 1, "repeated": 1}
    assert feedback_for(settings.database_url, [prediction]) == {prediction: {"item_id": "x"}}


def test_a_purchase_names_a_recommendation_and_no_other_answer(client, settings):
    other = client.post("/v1/multimodal/classify", json={"title": "Belt"}).json()["prediction_id"]
    response = tell(client, EVENT, EVENT | {"kind": "purchase", "prediction_id": other})
    assert "is an answer of product" in refused(response, 400, "invalid_input", "events.1.prediction_id")
    assert list(all_events(settings.database_url)) == []
    assert feedback_for(settings.database_url, [other]) == {}


def test_a_purchase_of_a_prediction_that_never_was_stores_nothing(client, settings, impatient):
    known = ask(client).json()["prediction_id"]
    wait_until(lambda: newest_predictions(settings.database_url, "recommender", 1))
    bought = EVENT | {"kind": "purchase", "prediction_id": known}
    seen = EVENT | {"prediction_id": UNKNOWN}  # what was only seen needs no prediction that is still there
    response = tell(client, bought, seen, bought | {"prediction_id": UNKNOWN})
    message = refused(response, 404, "not_found", "events.2.prediction_id")
    assert message == f"events.2: prediction '{UNKNOWN}' does not exist"
    assert list(all_events(settings.database_url)) == []
    assert feedback_for(settings.database_url, [known]) == {}
    assert tell(client, bought, seen).status_code == 201


@pytest.mark.slow
def test_monitoring_can_tell_users_apart_without_their_names(client, settings):
    for body in ({"user_id": 5}, {"user_id": "6"}, {"user_id": "5", "recent_items": ["a"]}, {"recent_items": ["a"]}, {}):
        assert ask(client, **body).status_code == 200
    wait_until(lambda: len(newest_predictions(settings.database_url, "recommender", 10)) == 5)
    rows = newest_predictions(settings.database_url, "recommender", 10)
    nobody, session, again, other, first = (row.inputs["asker"] for row in rows)
    assert nobody is session is None
    assert first == again != other
    assert {len(first), len(other)} == {16}


# When something is away


def unreachable(client, body=None):
    response = client.post(URL, json=body or {"user_id": "u"})
    message = refused(response, 503, "database_unavailable")
    assert response.headers["Retry-After"] == "5"
    return message


@pytest.mark.slow
def test_without_the_database_a_user_gets_503_and_a_visitor_an_answer(tmp_path, config, source, monkeypatch):
    """As long as it is known that no key is asked for."""
    monkeypatch.setattr("serving.access.keyring.keys", lambda url: [])
    settings = Settings(tmp_path, "postgresql://somebody:s3cret@127.0.0.1:1/vitrina", f"sqlite:///{tmp_path / 'mlflow.db'}")
    app = create_app(settings, config, source)
    logging.getLogger("monitoring.prediction_log").setLevel(logging.CRITICAL)
    with TestClient(app) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        assert "s3cret" not in unreachable(made)
        refused(tell(made, EVENT), 503, "database_unavailable")
        assert ask(made, recent_items=["a"]).json()["basis"] == "session"
        assert source.recommenders[1].asked[0].user_id is None  # nobody was asked about the user without his events
    logging.getLogger("monitoring.prediction_log").setLevel(logging.NOTSET)


def test_a_table_that_is_gone_is_503_until_it_is_back(client, settings):
    assert tell(client, EVENT).status_code == 201
    with writing(settings.database_url) as connection:
        connection.execute(text("ALTER TABLE events RENAME TO lost"))
    assert "no such table: events" in unreachable(client)
    refused(tell(client, EVENT), 503, "database_unavailable")
    with writing(settings.database_url) as connection:
        connection.execute(text("ALTER TABLE lost RENAME TO events"))
    assert ask(client, user_id="u").json()["history"] == 1


@pytest.mark.slow
def test_without_a_champion_recommendations_wait_while_product_answers(settings, config, source):
    source.errors["recommender"] = VitrinaError("model 'recommender' has no champion")
    with TestClient(create_app(settings, config, source)) as made:
        wait_until(lambda: made.post("/v1/embeddings", json={"title": "a"}).status_code == 200)
        wait_until(lambda: made.get("/readyz").json()["models"][1]["last_error"])
        ready = made.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        product, recommender = ready.json()["models"]
        assert (product["version"], recommender["version"]) == (1, None)
        assert recommender["last_error"] == "model 'recommender' has no champion"
        response = ask(made, user_id="u")
        assert refused(response, 503, "not_ready") == "model recommender cannot answer yet; /readyz says why"
        assert response.headers["Retry-After"] == "5"
        assert made.post("/v1/embeddings", json={"title": "a"}).status_code == 200
        del source.errors["recommender"]
        wait_until(lambda: ask(made, user_id="u").status_code == 200)
        assert made.get("/readyz").status_code == 200


@pytest.mark.slow
def test_a_moved_champion_answers_without_a_gap(client, source):
    assert ask(client).json()["model"]["version"] == 1
    source.at = 2
    wait_until(lambda: ask(client).json()["model"]["version"] == 2)


def test_a_service_without_a_recommender_has_no_such_route(settings, source):
    with TestClient(create_app(settings, CONFIG, source)) as made:
        refused(ask(made), 404, "not_found")
        refused(tell(made, EVENT), 404, "not_found")
        body = {"prediction_id": UNKNOWN, "labels": {"item_id": "a"}}
        refused(made.post("/v1/feedback", json=body), 400, "invalid_input", "labels.item_id")


# Attacks


@pytest.mark.parametrize("url", [URL, EVENTS])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"a"', b"{", b"\xff\xfe{}", b'{"user_id":"\\ud800"}', b'{"user_id":"a"} x', b"\x00", b"[" * 50_000],
)
def test_what_is_no_json_object_is_refused(steady, body, url):
    refused(steady.post(url, content=body, headers=JSON), 400, "invalid_input")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("field", ["user_id", "price_min", "price_max", "diversity", "num_recs"])
def test_numbers_that_are_none_are_refused(steady, field, value):
    body = f'{{"{field}":{value}}}'
    refused(steady.post(URL, content=body, headers=JSON), 400, "invalid_input", field)
    body = f'{{"events":[{{"user_id":{value},"item_id":"i","kind":"view"}}]}}'
    refused(steady.post(EVENTS, content=body, headers=JSON), 400, "invalid_input", "events.0.user_id")


def test_lists_without_end_are_refused_before_they_are_looked_at(steady, monkeypatch):
    start = time.perf_counter()
    small = '{"user_id":1,"item_id":1,"kind":"view"}'
    many = LIMIT // (len(small) + 2)
    body = '{"events":[' + ",".join([small] * many) + "]}"
    refused(steady.post(EVENTS, content=body, headers=JSON), 400, "invalid_input", "events")
    refused(ask(steady, recent_items=[1] * 60_000), 400, "invalid_input", "recent_items")
    refused(ask(steady, categories=["a"] * 35_000), 400, "invalid_input", "categories")
    assert time.perf_counter() - start < 30  # it takes a tenth of a second


@pytest.mark.parametrize("body", ['{"recent_items":' + "[" * 5000 + "]" * 5000 + "}", '{"user_id":' * 15_000])
def test_deep_nesting_is_refused(steady, body):
    refused(steady.post(URL, content=body, headers=JSON), 400, "invalid_input")
    refused(steady.post(EVENTS, content=body.replace("recent_items", "events"), headers=JSON), 400, "invalid_input")


@pytest.mark.parametrize("url", [URL, EVENTS])
def test_size_encoding_type_and_method_are_bounded(steady, url):
    refused(steady.post(url, content=b'{"user_id": "' + b"a" * LIMIT + b'"}', headers=JSON), 413, "too_large")
    bomb = zlib.compress(b'{"user_id":"' + b"a" * 1_000_000 + b'"}')
    refused(steady.post(url, content=bomb, headers=JSON | {"content-encoding": "gzip"}), 415, "unsupported_media_type")
    refused(steady.post(url, content=b"{}", headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    refused(steady.post(url, files={"user_id": (None, "u")}), 415, "unsupported_media_type")
    refused(steady.get(url), 405, "method_not_allowed")


@pytest.mark.slow
def test_events_told_while_answers_are_computed_are_not_lost(client, settings):
    """Readers, writers and the prediction log share one SQLite file."""
    stop = threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            response = ask(client, user_id="u")
            if response.status_code not in (200, 503) or response.json().get("error", {}).get("code") == "database_unavailable":
                failures.append(response.text)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    write = partial(tell, client)
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda i: write(EVENT | {"item_id": str(i)}), range(60)))
    stop.set()
    for reader in readers:
        reader.join()
    assert [response.status_code for response in responses] == [201] * 60
    assert failures == []
    assert len(newest_events(settings.database_url, "u", 100)) == 60


# The document


@pytest.mark.slow
def test_the_document_describes_both_routes_with_examples_that_work(client):
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert "$defs" not in json.dumps(document)
    query, events = paths[URL]["post"], paths[EVENTS]["post"]
    assert set(query["responses"]) >= {"200", "400", "413", "415", "503", "504"}
    assert set(events["responses"]) >= {"201", "400", "404", "413", "415", "503"}
    properties = taken(document, URL)["properties"]
    [text] = [kind for kind in properties["user_id"]["anyOf"] if kind["type"] == "string"]
    assert (text["minLength"], text["maxLength"]) == (1, 200)
    assert re.search(text["pattern"], "小さい 👗")
    assert not re.search(text["pattern"], "a\x00b")
    recent = properties["recent_items"]
    assert recent["maxItems"] == 200
    assert {"integer", "string", "object"} <= {kind["type"] for kind in flat(recent["items"])}
    example = {name: known["examples"][0] for name, known in properties.items() if "examples" in known}
    assert {"user_id", "recent_items", "num_recs", "diversity"} <= set(example)
    assert client.post(URL, json=example).status_code == 200
    told = taken(document, EVENTS)["properties"]["events"]
    assert told["maxItems"] == 4
    assert client.post(EVENTS, json={"events": told["examples"][0]}).status_code == 201
    assert {"event_id", "prediction_id", "at"} < set(told["items"]["properties"])
    labels = taken(document, "/v1/feedback")["properties"]["labels"]
    assert "item_id" in labels["properties"]
    schemas = document["components"]["schemas"]
    assert {"Recommended", "Item", "Stored"} <= set(schemas)
    assert all(schemas["Item"]["properties"][name]["description"] for name in ("title", "price", "article_type"))


def flat(schema):
    return [found for part in schema["anyOf"] for found in (flat(part) if "anyOf" in part else [part])]


def test_readyz_does_not_wait_for_what_was_never_promoted(settings, config, source):
    source.errors["recommender"] = VitrinaError("model 'recommender' has no champion")
    unpromoted = config.model_copy(update={"unpromoted": ("recommender",)})
    with TestClient(create_app(settings, unpromoted, source)) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        assert refused(ask(made, user_id="u"), 503, "not_ready")
        del source.errors["recommender"]
        wait_until(lambda: ask(made, user_id="u").status_code == 200)
        assert made.get("/readyz").json()["ready"]


# Users


def test_users_to_try_it_with(steady):
    body = steady.get(f"{URL}/users", params={"limit": 2}).json()
    newest = [
        {"item_id": 7, "title": "Blue Denim Jacket", "price": 2199.5, "article_type": "Jackets"},
        {"item_id": "next 1", "title": None, "price": None, "article_type": None},
    ]
    users = [{"user_id": name, "purchases": 2, "newest": newest} for name in (5, "user 1")]
    assert body == {"model": {"name": "recommender", "version": 1}, "users": users}
    assert len(steady.get(f"{URL}/users").json()["users"]) == 10
    for limit in (0, 101, "x"):
        refused(steady.get(f"{URL}/users", params={"limit": limit}), 400, "invalid_input", "limit")


def test_a_version_that_knows_no_users(client, source):
    source.recommenders[1].known = False
    assert "knows no user" in refused(client.get(f"{URL}/users"), 501, "not_supported")


def test_users_of_a_version_that_is_not_there_yet(settings, source):
    source.error = VitrinaError("no champion")
    with TestClient(create_app(settings, BOTH, source)) as client:
        refused(client.get(f"{URL}/users"), 503, "not_ready")
