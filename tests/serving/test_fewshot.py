"""The routes of the few-shot model through the whole application, with a predictor of centroids."""

import base64
import itertools
import json
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy
from starlette.testclient import TestClient

import serving.routes._fewshot_tasks as tasks
from configs.errors import VitrinaError
from configs.schema import TasksConfig
from database.engine import reading, writing
from database.fewshot import find, kept_examples, newest_tasks
from database.predictions import feedback_for, newest_predictions
from models.fewshot.answers import Task
from serving.app import create_app
from serving.routes._fewshot_tasks import Parsed
from tests.serving.conftest import CONFIG, LIMIT, Fewshot, photo, refused, serving, taken, wait_until

ADAPT, CLASSIFY, TASKS = "/v1/fewshot/adapt", "/v1/fewshot/classify", "/v1/fewshot/tasks"
FEWSHOT = CONFIG.model_copy(update={"models": ("fewshot",)})
JSON = {"content-type": "application/json"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PHOTO = base64.b64encode(photo()).decode()
SHIRTS = [{"label": "Shirts", "title": "blue cotton shirt"}, {"label": "Shirts", "title": "white cotton shirt"}]
SHOES = [{"label": "Shoes", "title": "running shoe leather"}, {"label": "Shoes", "title": "walking shoe leather"}]
HATS = [{"label": "Hats", "title": "straw hat"}]
ANYWHERE = ("401", "403", "429")
"""Of keys and rates: any route may answer so."""


@pytest.fixture(scope="module")
def config():
    return FEWSHOT


def adapt(client, examples=(*SHIRTS, *SHOES), key=None, **body):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(ADAPT, json={"examples": list(examples)} | body, headers=headers)


def taught(client, examples=(*SHIRTS, *SHOES), **body):
    response = adapt(client, examples, **body)
    assert response.status_code == 201, response.text
    return response.json()["task_id"]


def classify(client, task_id, *items, **body):
    return client.post(CLASSIFY, json={"task_id": task_id, "items": list(items) or [{"title": "cotton shirt"}]} | body)


def labels(client, task_id, *items, **body):
    response = classify(client, task_id, *items, **body)
    assert response.status_code == 200, response.text
    return [item["label"] for item in response.json()["items"]]


def many(ways, shots, **said):
    return [{"label": f"class {way}", "title": f"thing{way} number{shot}"} | said for way in range(ways) for shot in range(shots)]


@contextmanager
def held(predictor):
    """Nothing is answered before `may_answer` is set; at the end it is."""
    predictor.started.clear()
    predictor.may_answer.clear()
    try:
        yield
    finally:
        predictor.may_answer.set()


def swapped(client, source, **versions):
    """Move champion to version 2, which rests on product version `base`."""
    source.fewshots[2] = Fewshot(2, versions["base"])
    source.at = 2
    wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 2)


# What is learned and answered


def test_a_new_task_says_what_it_learned(steady):
    response = adapt(steady, name="Herbst \U0001f342")
    assert response.status_code == 201
    answer = response.json()
    assert str(uuid.UUID(answer.pop("task_id")))
    assert answer.pop("created_at").startswith("20")
    assert answer == {
        "name": "Herbst \U0001f342",
        "keep_examples": False,
        "version": 1,
        "model": {"name": "fewshot", "version": 1},
        "features": {"name": "product", "version": 1},
        "learner": "centroids",
        "classes": [{"label": "Shirts", "examples": 2}, {"label": "Shoes", "examples": 2}],
        "leave_one_out": {"accuracy": 0.75, "examples": 4},
        "hardest": {"labels": ["Shirts", "Shoes"], "confusion": 0.25, "hint": "add examples of 'Shirts'"},
        "rejects": "at most about 5 % of the listings that belong to one of the classes are called none of these",
    }


def test_items_are_answered_in_order_with_all_classes_and_strangers_with_none(steady):
    task_id = taught(steady)
    response = classify(steady, task_id, {"title": "leather shoe"}, {"title": "garden hose"}, {"description": "cotton shirt"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["task_id"], answer["version"]) == (task_id, 1)
    assert (answer["model"], answer["features"]) == ({"name": "fewshot", "version": 1}, {"name": "product", "version": 1})
    shoe, hose, shirt = answer["items"]
    assert [item["label"] for item in (shoe, hose, shirt)] == ["Shoes", None, "Shirts"]
    assert [item["none_of_these"] for item in (shoe, hose, shirt)] == [False, True, False]
    assert [entry["label"] for entry in shoe["probabilities"]] == ["Shoes", "Shirts"]
    assert [entry["label"] for entry in shirt["probabilities"]] == ["Shirts", "Shoes"]
    assert sum(entry["probability"] for entry in hose["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert shoe["stranger"] <= 0.5 < hose["stranger"] <= 1
    assert len({item["prediction_id"] for item in answer["items"]}) == 3


def test_one_example_a_class_has_no_left_out_accuracy(steady):
    answer = adapt(steady, [SHIRTS[0], SHOES[0]]).json()
    assert answer["leave_one_out"] == {"accuracy": None, "examples": 0}


def test_the_model_gets_examples_as_they_were_sent(client, source):
    said = {"label": "  Shirts ", "title": "a", "brand": "Nike", "price": 5, "attributes": {"Fabric": "Mesh"}, "image": PHOTO}
    assert adapt(client, [said, *SHOES], learner="centroids").status_code == 201
    lesson = source.fewshots[1].lessons[-1]
    first = lesson.examples[0]
    assert (lesson.before, lesson.learner, len(lesson.examples), first.label) == (None, "centroids", 3, "Shirts")
    assert (first.listing.title, first.listing.price, first.listing.image.pixels.shape) == ("a", 5.0, (80, 60, 3))
    assert (first.listing.fields, first.listing.attributes) == ({"brand": "Nike"}, {"Fabric": "Mesh"})


def test_a_large_photo_comes_reduced(client, source):
    big = base64.b64encode(photo("PNG", (900, 600))).decode()
    task_id = taught(client, [SHIRTS[0] | {"image": big}, *SHOES])
    assert source.fewshots[1].lessons[-1].examples[0].listing.image.pixels.shape == (171, 256, 3)
    assert classify(client, task_id, {"image": big}).status_code == 200
    assert source.fewshots[1].asked[-1].listing.image.pixels.shape == (171, 256, 3)


def test_a_learner_of_photos_keeps_small_ones_and_names_what_lacks_one(client, settings):
    seen = [example | {"image": PHOTO} for example in (*SHIRTS, *SHOES)]
    task_id = taught(client, seen, learner="photographs")
    assert labels(client, task_id, {"title": "cotton shirt", "image": PHOTO}) == ["Shirts"]
    message = refused(
        classify(client, task_id, {"title": "shirt", "image": PHOTO}, {"title": "a"}), 400, "invalid_input", "items.1.image"
    )
    assert message == "items.1.image: missing, and the learner of this task, photographs, reads photos alone"
    assert adapt(client, [HATS[0] | {"image": PHOTO}], task_id=task_id).status_code == 200
    assert refused(adapt(client, [*seen, *HATS], learner="photographs"), 400, "invalid_input") == "example 4 has no photo"
    assert kept_examples(settings.database_url, task_id, 2) == []


def test_twenty_by_twenty_with_photos(tmp_path):
    config = FEWSHOT.model_copy(update={"max_body_bytes": 8 * 1024 * 1024, "request_seconds": 30})
    with serving(tmp_path, config) as client:
        response = adapt(client, many(20, 20, image=PHOTO), keep_examples=True)
        assert response.status_code == 201, response.text
        assert response.json()["classes"] == [{"label": f"class {way}", "examples": 20} for way in range(20)]
        assert labels(client, response.json()["task_id"], {"title": "thing7"}, {"title": "thing19"}) == ["class 7", "class 19"]


# Ways, shots and labels

ONE_BY_21 = [{"label": "a", "title": f"t{i}"} for i in range(21)]


@pytest.mark.parametrize(
    ("examples", "field", "says"),
    [
        ([], "examples", "at least 1 item"),
        (SHIRTS, "examples", "examples: 1 class in all; a new task has 2 to 20"),
        (many(21, 1), "examples", "examples: 21 classes in all; a new task has 2 to 20"),
        ([*ONE_BY_21, *SHOES], "examples", "examples: 21 of 'a' in all; at most 20 a class are allowed"),
        ([{"label": "a", "title": "t"}] * 401, "examples", "at most 400 items"),
        ([*SHIRTS, {"label": "Shoes"}], "examples.2", "examples.2 says nothing; give at least one of title"),
        ([*SHIRTS, {"label": "Shoes", "price": 5}], "examples.2", "examples.2 says nothing"),
        ([*SHIRTS, {"label": "Shoes", "title": "  ", "attributes": {"a": " "}}], "examples.2", "examples.2 says nothing"),
        ([*SHIRTS, {"title": "shoe"}], "examples.2.label", "required"),
        ([*SHIRTS, {"title": "shoe", "label": ""}], "examples.2.label", "at least 1 character"),
        ([*SHIRTS, {"title": "shoe", "label": " \t "}], "examples.2.label", "at least 1 character"),
        ([*SHIRTS, {"title": "shoe", "label": "a" * 101}], "examples.2.label", "at most 100 characters"),
        ([*SHIRTS, {"title": "shoe", "label": "a\nb"}], "examples.2.label", "must not hold control characters"),
        ([*SHIRTS, {"title": "shoe", "label": "a\x00b"}], "examples.2.label", "must not hold control characters"),
        ([*SHIRTS, {"title": "shoe", "label": 5}], "examples.2.label", "valid string"),
        ([*SHIRTS, {"title": "shoe", "label": None}], "examples.2.label", "valid string"),
        ([*SHIRTS, {"title": "shoe", "label": ["a"]}], "examples.2.label", "valid string"),
        ([*SHIRTS, {"title": "shoe", "label": "SHIRTS"}], "examples.2.label", "'SHIRTS' differs from 'Shirts' only by case"),
        ([*SHIRTS, {"title": "shoe", "label": "shi rts"}], "examples.2.label", "'shi rts' differs from 'Shirts' only by"),
        ([*SHIRTS, {"title": "shoe", "label": "\uff33hirts"}], "examples.2.label", "differs from 'Shirts' only by"),
        ([*SHIRTS, {"title": "a", "label": "None of  THESE"}], "examples.2.label", "is what a listing of no class is called"),
        ([*SHIRTS, SHOES[0] | {"image": "aGVsbG8="}], "examples.2.image", "cannot be decoded"),
        ([*SHIRTS, SHOES[0] | {"image": "https://example.com/a.jpg"}], "examples.2.image", "never fetched"),
        ([*SHIRTS, SHOES[0] | {"titel": "a"}], "examples.2.titel", "unknown field"),
        ([*SHIRTS, "shoe"], "examples.2", "an object"),
    ],
)
def test_wrong_examples_are_named(steady, examples, field, says):
    assert says in refused(adapt(steady, examples), 400, "invalid_input", field)


@pytest.mark.parametrize(("ways", "shots"), [(2, 1), (20, 1), (2, 20)])
def test_all_allowed_ways_and_shots_are_learned(steady, ways, shots):
    answer = adapt(steady, many(ways, shots))
    assert answer.status_code == 201
    assert [known["examples"] for known in answer.json()["classes"]] == [shots] * ways


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"task": UNKNOWN}, "task", "unknown field 'task'; allowed: examples, task_id"),
        ({"learner": "magic"}, "learner", "learner: 'magic' is none of this version; allowed: centroids, photographs"),
        ({"name": "a" * 201}, "name", "at most 200"),
        ({"name": "a\x00"}, "name", "control characters"),
        ({"keep_examples": "yes"}, "keep_examples", "valid boolean"),
        ({"keep_examples": 1}, "keep_examples", "valid boolean"),
        ({"task_id": 5}, "task_id", "valid string"),
    ],
)
def test_wrong_fields_are_named(steady, body, field, says):
    assert says in refused(adapt(steady, **body), 400, "invalid_input", field)


def test_what_the_model_refuses_is_an_answer_and_a_bug_is_not(client):
    assert refused(adapt(client, [*SHIRTS, {"label": "b", "title": "refused"}]), 400, "invalid_input") == "listing 0 is refused"
    task_id = taught(client)
    said = classify(client, task_id, {"title": "a"}, {"title": "refused"}, {"title": "b"})
    assert refused(said, 400, "invalid_input", "items.1") == "items.1: listing 0 is refused"
    refused(classify(client, task_id, {"title": "a"}, {"price": 5}), 400, "invalid_input", "items.1")
    refused(classify(client, task_id, {"title": "a"}, {"image": "aGVsbG8="}), 400, "invalid_input", "items.1.image")
    refused(classify(client, task_id, {"title": "crash"}), 500, "internal")
    assert labels(client, task_id) == ["Shirts"]
    assert len(client.get(TASKS).json()["tasks"]) == 1


def test_a_request_holds_as_many_items_as_is_configured(steady):
    task_id = taught(steady)
    assert len(labels(steady, task_id, *[{"title": "shirt"}] * 4)) == 4
    refused(classify(steady, task_id, *[{"title": "shirt"}] * 5), 400, "invalid_input", "items")
    refused(steady.post(CLASSIFY, json={"task_id": task_id, "items": []}), 400, "invalid_input", "items")
    for version in (0, -1, 1.5, "1", True, 10**7):
        refused(classify(steady, task_id, version=version), 400, "invalid_input", "version")


# Taught more


def test_a_task_is_taught_more_examples_and_classes_and_its_versions_stay(client, source):
    task_id = taught(client)
    response = adapt(client, [*HATS, {"label": "Shirts", "title": "linen shirt"}], task_id=task_id)
    assert response.status_code == 200
    answer = response.json()
    assert (answer["task_id"], answer["version"]) == (task_id, 2)
    assert [(known["label"], known["examples"]) for known in answer["classes"]] == [("Shirts", 3), ("Shoes", 2), ("Hats", 1)]
    lesson = source.fewshots[1].lessons[-1]
    assert (len(lesson.examples), lesson.before.classes) == (2, ("Shirts", "Shoes"))
    assert labels(client, task_id, {"title": "straw hat"}) == ["Hats"]
    assert labels(client, task_id, {"title": "straw hat"}, version=2) == ["Hats"]
    assert labels(client, task_id, {"title": "straw hat"}, version=1) == [None]
    assert classify(client, task_id, version=1).json()["version"] == 1
    message = refused(classify(client, task_id, version=3), 404, "not_found", "version")
    assert message == f"few-shot task '{task_id}' has no version 3; its newest is 2"


def test_what_is_said_at_creation_cannot_be_said_later(steady):
    task_id = taught(steady)
    for said in ({"name": "a"}, {"learner": "centroids"}, {"keep_examples": True}, {"keep_examples": False}):
        [field] = said
        message = refused(adapt(steady, HATS, task_id=task_id, **said), 400, "invalid_input", field)
        assert message == f"{field}: is said when a task is made, and cannot be changed"


def test_classes_keep_one_name_and_the_task_its_bounds(tmp_path):
    config = FEWSHOT.model_copy(update={"tasks": TasksConfig(max_classes=4, max_examples=3)})
    with serving(tmp_path, config) as client:
        task_id = taught(client)
        wrong = adapt(client, [*HATS, {"label": "shoes", "title": "a"}], task_id=task_id)
        assert "'shoes' differs from 'Shoes'" in refused(wrong, 400, "invalid_input", "examples.1.label")
        wrong = adapt(client, many(3, 1), task_id=task_id)
        assert refused(wrong, 400, "invalid_input", "examples") == "examples: 5 classes in all; the task would have 2 to 4"
        wrong = adapt(client, SHIRTS, task_id=task_id)
        assert refused(wrong, 400, "invalid_input", "examples") == (
            "examples: 4 of 'Shirts' in all; at most 3 a class are allowed"
        )
        assert adapt(client, [*many(2, 3), SHIRTS[0]], task_id=task_id).status_code == 200
        assert len(client.get(f"{TASKS}/{task_id}").json()["versions"]) == 2


def at_the_same_moment(monkeypatch, name, count):
    """The first `count` that are about to write by the function `name` wait for each other."""
    write, turn, gate = getattr(tasks, name), itertools.count(), threading.Barrier(count)

    def written(*arguments):
        if next(turn) < count:
            gate.wait(60)
        return write(*arguments)

    monkeypatch.setattr(tasks, name, written)


def test_those_that_teach_a_task_at_once_are_all_in_the_end_result(client, source, monkeypatch):
    at_the_same_moment(monkeypatch, "append_version", 3)
    task_id = taught(client)
    model = source.fewshots[1]

    def teach(place):
        return adapt(client, [{"label": f"new {place}", "title": f"novelty{place}"}], task_id=task_id)

    with ThreadPoolExecutor(3) as pool:
        responses = list(pool.map(teach, range(3)))
    assert len(model.lessons) >= 1 + 3 + 2  # those that lost were adapted again, on top of the others
    assert [response.status_code for response in responses] == [200] * 3
    assert sorted(response.json()["version"] for response in responses) == [2, 3, 4]
    newest = client.get(f"{TASKS}/{task_id}").json()["versions"][0]
    assert {known["label"] for known in newest["classes"]} == {"Shirts", "Shoes", "new 0", "new 1", "new 2"}
    assert labels(client, task_id, *({"title": f"novelty{place}"} for place in range(3))) == ["new 0", "new 1", "new 2"]


def test_another_worker_sees_at_once_what_this_one_was_taught(client, settings, config, source):
    task_id = taught(client)
    with TestClient(create_app(settings, config, source)) as other:
        wait_until(lambda: other.get("/readyz").status_code == 200)
        assert labels(other, task_id) == ["Shirts"]
        assert adapt(other, HATS, task_id=task_id).status_code == 200
        assert labels(client, task_id, {"title": "straw hat"}) == ["Hats"]
        assert client.delete(f"{TASKS}/{task_id}").status_code == 204
        refused(classify(other, task_id), 404, "not_found", "task_id")
        refused(classify(other, task_id, version=1), 404, "not_found", "task_id")


# Once, whole, or not at all


def test_a_request_that_is_sent_again_with_its_key_makes_no_second_task(client, source, settings):
    first, again = adapt(client, key="one"), adapt(client, key="one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert len(source.fewshots[1].lessons) == 1
    assert adapt(client, key="two").json()["task_id"] != first.json()["task_id"]
    assert adapt(client, [*SHIRTS, *SHOES, *HATS], key="one").json()["task_id"] != first.json()["task_id"]  # no repetition
    assert adapt(client).json()["task_id"] != adapt(client).json()["task_id"]
    for key in ("", "a b", "x" * 256):
        refused(adapt(client, key=key), 400, "invalid_input", "Idempotency-Key")
    assert len(newest_tasks(settings.database_url, 10)) == 5


def test_a_repetition_teaches_a_task_nothing_twice(client):
    task_id = taught(client)
    first = adapt(client, HATS, key="one", task_id=task_id)
    adapt(client, [SHIRTS[0]], task_id=task_id)
    again = adapt(client, HATS, key="one", task_id=task_id)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert len(client.get(f"{TASKS}/{task_id}").json()["versions"]) == 3


@pytest.mark.parametrize("extends", [False, True])
def test_the_same_request_by_many_at_once_is_done_once(client, monkeypatch, extends):
    body = {"task_id": taught(client), "examples": HATS} if extends else {}
    at_the_same_moment(monkeypatch, "append_version" if extends else "insert_task", 3)
    with ThreadPoolExecutor(3) as pool:
        responses = list(pool.map(lambda _: adapt(client, key="same", **body), range(3)))
    assert [response.status_code for response in responses] == [200 if extends else 201] * 3
    assert len({json.dumps(response.json()) for response in responses}) == 1
    [task] = client.get(TASKS).json()["tasks"]
    assert task["version"] == (2 if extends else 1)


# Listed and deleted


def test_tasks_are_listed_newest_first_and_one_with_all_its_versions(client):
    first, second = taught(client, name="first", keep_examples=True), taught(client)
    adapt(client, HATS, task_id=first)
    newest, older = client.get(TASKS).json()["tasks"]
    assert (newest["task_id"], older["task_id"]) == (second, first)
    assert older["created_at"] < newest["created_at"] < older["updated_at"]
    for name in ("created_at", "updated_at", "classes"):
        del older[name]
    assert older == {
        "task_id": first,
        "name": "first",
        "keep_examples": True,
        "version": 2,
        "learner": "centroids",
        "outdated": False,
    }
    assert [task["task_id"] for task in client.get(f"{TASKS}?limit=1").json()["tasks"]] == [second]
    detail = client.get(f"{TASKS}/{first}").json()
    assert (detail["task_id"], detail["name"], detail["keep_examples"]) == (first, "first", True)
    assert [known["version"] for known in detail["versions"]] == [2, 1]
    assert [len(known["classes"]) for known in detail["versions"]] == [3, 2]
    assert detail["versions"][1]["leave_one_out"] == {"accuracy": 0.75, "examples": 4}
    assert [known["version"] for known in client.get(f"{TASKS}/{first}?limit=1").json()["versions"]] == [2]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "a", "1.5", "", "1e3", "٣", "9" * 5000])
def test_a_wrong_limit_is_refused(steady, limit):
    for path in (TASKS, f"{TASKS}/{UNKNOWN}"):
        message = refused(steady.get(path, params={"limit": limit}), 400, "invalid_input", "limit")
        assert message == "limit: must be a whole number from 1 to 100"


IDS = [
    UNKNOWN,
    "5",
    "a" * 2000,
    "%00",
    "..%2F..%2Fetc%2Fpasswd",
    "'; DROP TABLE fewshot_tasks; --",
    "小さい",
    UNKNOWN.upper() + "A",
]


@pytest.mark.parametrize("task_id", IDS)
def test_what_no_task_is_called_is_404(steady, task_id):
    for response in (steady.get(f"{TASKS}/{task_id}"), steady.delete(f"{TASKS}/{task_id}")):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"
    if len(task_id) <= 200:
        assert "does not exist" in refused(classify(steady, task_id), 404, "not_found", "task_id")
        assert "does not exist" in refused(adapt(steady, HATS, task_id=task_id), 404, "not_found", "task_id")


def test_a_deleted_task_is_gone_with_all_that_was_kept(client, settings):
    task_id, other = taught(client, keep_examples=True), taught(client, keep_examples=True)
    adapt(client, HATS, task_id=task_id)
    assert labels(client, task_id) == ["Shirts"]
    response = client.delete(f"{TASKS}/{task_id}")
    assert (response.status_code, response.content) == (204, b"")
    refused(classify(client, task_id), 404, "not_found", "task_id")
    refused(adapt(client, HATS, task_id=task_id), 404, "not_found", "task_id")
    refused(client.get(f"{TASKS}/{task_id}"), 404, "not_found", "task_id")
    refused(client.delete(f"{TASKS}/{task_id}"), 404, "not_found", "task_id")
    assert [known["task_id"] for known in client.get(TASKS).json()["tasks"]] == [other]
    assert stored(settings.database_url) == {
        "fewshot_tasks": 1,
        "fewshot_versions": 1,
        "fewshot_states": 1,
        "fewshot_examples": 4,
    }


def stored(url):
    with reading(url) as connection:
        names = [name for name in sqlalchemy.inspect(connection).get_table_names() if name.startswith("fewshot_")]
        return {name: connection.scalar(sqlalchemy.text(f"SELECT count(*) FROM {name}")) for name in sorted(names, key=_order)}


def _order(name):
    return ["fewshot_tasks", "fewshot_versions", "fewshot_states", "fewshot_examples"].index(name)


def test_without_keep_examples_no_text_and_no_photo_is_stored(client, settings, tmp_path):
    secret = "unmistakable"
    shown = [example | {"description": f"{secret} words", "image": PHOTO} for example in (*SHIRTS, *SHOES)]
    task_id = taught(client, shown)
    adapt(client, [HATS[0] | {"description": secret}], task_id=task_id)
    assert kept_examples(settings.database_url, task_id, 2) == []
    held = b"".join(path.read_bytes() for path in tmp_path.glob("vitrina.db*"))
    assert b"Shirts" in held
    assert secret.encode() not in held
    assert photo() not in held


# When champion moves


def test_a_task_of_other_features_must_be_taught_again(client, source):
    task_id = taught(client)
    adapt(client, HATS, task_id=task_id)
    swapped(client, source, base=2)
    said = (
        f"task {task_id}: the task rests on features of product version 1, and those of version 2 are served: "
        "teach it again from its examples"
    )
    assert refused(classify(client, task_id), 409, "outdated_task") == said
    assert refused(classify(client, task_id, version=1), 409, "outdated_task") == said
    assert refused(adapt(client, HATS, task_id=task_id), 409, "outdated_task") == said
    assert client.get(TASKS).json()["tasks"][0]["outdated"] is True
    assert [known["outdated"] for known in client.get(f"{TASKS}/{task_id}").json()["versions"]] == [True, True]
    assert source.fewshots[2].lessons == []
    source.at = 1  # a rollback finds everything as it was
    wait_until(lambda: classify(client, task_id).status_code == 200)
    assert labels(client, task_id, {"title": "straw hat"}) == ["Hats"]


def test_a_task_that_keeps_its_examples_is_adapted_again_once(client, source, settings):
    task_id = taught(client, [*SHIRTS, SHOES[0] | {"image": PHOTO, "price": 5.5, "attributes": {"a": "b"}}], keep_examples=True)
    adapt(client, HATS, task_id=task_id)
    before = source.fewshots[1].lessons[0].examples[2].listing
    swapped(client, source, base=2)
    assert client.get(TASKS).json()["tasks"][0]["outdated"] is True
    answer = classify(client, task_id, {"title": "cotton shirt"}, {"title": "straw hat"}, {"title": "garden hose"}).json()
    assert [item["label"] for item in answer["items"]] == ["Shirts", "Hats", None]
    assert (answer["version"], answer["model"]["version"], answer["features"]["version"]) == (2, 2, 2)
    assert labels(client, task_id, {"title": "straw hat"}, version=1) == [None]
    lessons = source.fewshots[2].lessons
    assert [(len(lesson.examples), lesson.before, lesson.learner) for lesson in lessons] == [
        (4, None, "centroids"),
        (3, None, "centroids"),
    ]
    after = lessons[0].examples[2].listing
    assert (after.title, after.price, after.attributes) == (before.title, before.price, before.attributes)
    assert (after.image.pixels == before.image.pixels).all()
    for _ in range(2):
        assert labels(client, task_id, {"title": "straw hat"}) == ["Hats"]
    assert len(lessons) == 2
    assert client.get(TASKS).json()["tasks"][0]["outdated"] is False
    newest = client.get(f"{TASKS}/{task_id}").json()["versions"][0]
    assert (newest["features"]["version"], newest["model"]["version"], newest["outdated"]) == (2, 2, False)
    assert adapt(client, [SHOES[1]], task_id=task_id).json()["version"] == 3
    assert {row.digest for row in find(settings.database_url, task_id, 1).adapted} == {f"{base:064x}" for base in (1, 2)}
    source.at = 1
    wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 1)
    assert classify(client, task_id, version=2).json()["features"]["version"] == 1
    assert len(source.fewshots[1].lessons) == 2


def test_a_task_whose_kept_examples_the_new_version_refuses_must_be_taught_anew(client, source):
    task_id = taught(client, [*SHIRTS, *SHOES], keep_examples=True)

    class Strict(Fewshot):
        def _features(self, listing):
            raise VitrinaError("listing 0 says nothing that features are made of")

    source.fewshots[2] = Strict(2, 2)
    source.at = 2
    wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 2)
    message = refused(classify(client, task_id), 409, "outdated_task")
    assert message.startswith(f"task {task_id} cannot be adapted again, teach it anew: listing 0 says nothing")


def test_a_new_version_on_the_same_features_answers_old_tasks(client, source):
    task_id = taught(client)
    swapped(client, source, base=1)
    answer = classify(client, task_id).json()
    assert (answer["model"]["version"], answer["features"]["version"]) == (2, 1)
    assert client.get(TASKS).json()["tasks"][0]["outdated"] is False
    extended = adapt(client, HATS, task_id=task_id).json()
    assert extended["model"]["version"] == 2
    assert [known["model"]["version"] for known in client.get(f"{TASKS}/{task_id}").json()["versions"]] == [2, 1]


def test_a_version_without_the_learner_says_so(client, source):
    task_id = taught(client)
    source.fewshots[2] = Fewshot(2)
    source.fewshots[2].learners = ("photographs",)
    source.at = 2
    wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 2)
    assert refused(classify(client, task_id), 501, "not_supported") == "this version has no learner 'centroids'"
    refused(adapt(client, HATS, task_id=task_id), 501, "not_supported")


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_what_waits_while_champion_moves_is_answered_by_one_version(client, source, keep):
    task_id = taught(client, keep_examples=keep)
    labels(client, task_id)
    old = source.fewshots[1]
    with ThreadPoolExecutor(2) as pool, held(old):
        running = pool.submit(classify, client, task_id)
        assert old.started.wait(60)
        waiting = pool.submit(classify, client, task_id, {"title": "walking shoe leather"})
        time.sleep(0.3)  # it is in the queue then, with the classifier of the old version; later, the answer is the same
        swapped(client, source, base=2)
        old.may_answer.set()
        first, second = running.result(), waiting.result()
    assert (first.status_code, first.json()["features"]["version"]) == (200, 1)
    if keep:
        answer = second.json()
        assert (answer["model"]["version"], answer["features"]["version"]) == (2, 2)
        assert answer["items"][0]["label"] == "Shoes"
    else:
        refused(second, 409, "outdated_task")


def test_a_task_that_is_adapted_while_champion_moves_says_which_version_did(client, source, settings):
    old = source.fewshots[1]
    with ThreadPoolExecutor(1) as pool, held(old):
        running = pool.submit(adapt, client, keep_examples=True)
        assert old.started.wait(60)
        swapped(client, source, base=2)
        old.may_answer.set()
        answer = running.result().json()
    assert (answer["model"]["version"], answer["features"]["version"]) == (1, 1)
    [row] = find(settings.database_url, answer["task_id"]).adapted
    assert (row.model_version, row.digest) == (1, f"{1:064x}")
    assert classify(client, answer["task_id"]).json()["features"]["version"] == 2


# Monitoring and feedback


def test_answers_are_logged_and_feedback_names_the_class(client, settings):
    task_id = taught(client)
    items = [{"title": "leather shoe", "image": PHOTO}, {"title": "garden hose"}]
    shoe, hose = classify(client, task_id, *items).json()["items"]
    wait_until(lambda: len(newest_predictions(settings.database_url, "fewshot", 10)) == 2)
    rows = {row.id: row for row in newest_predictions(settings.database_url, "fewshot", 10)}
    row = rows[shoe["prediction_id"]]
    assert (row.version, row.endpoint, row.embedding) == (1, "fewshot/classify", None)
    assert (row.inputs["title_length"], row.inputs["has_image"]) == (12, True)
    assert row.outputs["predicted_label"] == "Shoes"
    assert row.outputs["stranger"] == pytest.approx(shoe["stranger"], abs=1e-5)
    assert rows[hose["prediction_id"]].outputs["predicted_label"] == "none of these"
    for said, told in ((shoe, {"label": "Boots"}), (hose, {"label": "none of these"})):
        body = {"prediction_id": said["prediction_id"], "labels": told}
        assert client.post("/v1/feedback", json=body).status_code == 201
        assert feedback_for(settings.database_url, [said["prediction_id"]]) == {said["prediction_id"]: told}
    wrong = {"prediction_id": hose["prediction_id"], "labels": {"label": True}}
    refused(client.post("/v1/feedback", json=wrong), 400, "invalid_input", "labels.label")


# When something is away


def test_without_a_champion_tasks_are_listed_and_not_asked(client, settings, config, source):
    task_id = taught(client)
    source.errors["fewshot"] = VitrinaError("model 'fewshot' has no champion")
    with TestClient(create_app(settings, config, source)) as made:
        refused(adapt(made), 503, "not_ready")
        refused(classify(made, task_id), 503, "not_ready")
        assert made.get(TASKS).json()["tasks"][0]["outdated"] is None
        assert made.get(f"{TASKS}/{task_id}").json()["versions"][0]["outdated"] is None
        assert made.delete(f"{TASKS}/{task_id}").status_code == 204


def test_a_table_that_is_gone_is_503(client, settings):
    task_id = taught(client)
    with writing(settings.database_url) as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE fewshot_versions RENAME TO lost"))
    for response in (adapt(client), classify(client, task_id), client.get(TASKS), client.get(f"{TASKS}/{task_id}")):
        assert "no such table" in refused(response, 503, "database_unavailable")


# Attacks and the document


@pytest.mark.parametrize("url", [ADAPT, CLASSIFY])
def test_bodies_are_bounded_and_of_one_kind(steady, url):
    for body in (b"", b"null", b"[]", b"{", b"\xff\xfe{}", b'{"task_id":"\\ud800"}', b"[" * 50_000):
        refused(steady.post(url, content=body, headers=JSON), 400, "invalid_input")
    refused(steady.post(url, content=b'{"task_id": "' + b"a" * LIMIT + b'"}', headers=JSON), 413, "too_large")
    refused(steady.post(url, files={"task_id": (None, "u")}), 415, "unsupported_media_type")
    refused(steady.get(url), 405, "method_not_allowed")
    assert steady.get(url).headers["Allow"] == "POST"


def test_what_may_be_done_with_a_task_is_said(steady):
    response = steady.put(f"{TASKS}/{UNKNOWN}")
    refused(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "DELETE, GET"


def test_what_was_parsed_is_held_within_its_bytes():
    held = Parsed(100)
    parsed = {name: object() for name in "abcd"}
    for name in "ab":
        held.put((name, 1, 1), parsed[name], 40)
    assert held.get(("a", 1, 1)) is parsed["a"]
    held.put(("c", 1, 1), parsed["c"], 40)
    assert held.get(("b", 1, 1)) is None
    assert held.get(("a", 1, 1)) is parsed["a"]
    held.put(("c", 1, 1), parsed["c"], 60)
    assert held.get(("a", 1, 1)) is parsed["a"]
    held.put(("d", 1, 1), parsed["d"], 101)
    assert [held.get((name, 1, 1)) for name in "abcd"] == [None] * 4
    held.put(("a", 1, 1), parsed["a"], 50)
    held.put(("a", 2, 1), parsed["a"], 50)
    held.forget("a")
    held.put(("b", 1, 1), parsed["b"], 100)
    assert held.get(("b", 1, 1)) is parsed["b"]


def test_a_task_is_parsed_once_while_it_is_asked(client, source, monkeypatch):
    task_id = taught(client)
    parsed = []
    monkeypatch.setattr(Task, "from_bytes", staticmethod(lambda data, read=Task.from_bytes: parsed.append(data) or read(data)))
    for _ in range(3):
        labels(client, task_id)
    assert len(parsed) == 1
    assert len({id(question.task) for question in source.fewshots[1].asked}) == 1


def test_the_document_describes_the_routes_with_examples_that_work(client):
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    adapting, classifying = paths[ADAPT]["post"], paths[CLASSIFY]["post"]
    assert set(adapting["responses"]) == {*ANYWHERE, "200", "201", "400", "404", "409", "413", "415", "501", "503", "504"}
    assert set(classifying["responses"]) == {*ANYWHERE, "200", "400", "404", "409", "413", "415", "501", "503", "504"}
    assert set(paths[TASKS]["get"]["responses"]) == {*ANYWHERE, "200", "400", "503"}
    assert set(paths[TASKS + "/{task_id}"]["get"]["responses"]) == {*ANYWHERE, "200", "400", "404", "503"}
    assert set(paths[TASKS + "/{task_id}"]["delete"]["responses"]) == {*ANYWHERE, "204", "404", "503"}
    assert [known["name"] for known in paths[TASKS + "/{task_id}"]["get"]["parameters"]] == ["task_id", "limit"]
    body = taken(document, ADAPT)
    example = body["properties"]["examples"]["examples"][0]
    assert body["properties"]["examples"]["maxItems"] == 400
    label = body["properties"]["examples"]["items"]["properties"]["label"]["pattern"]
    assert re.search(label, " Kurtas, 小さい 👗")
    assert not re.search(label, "  ")
    assert not re.search(label, "a\nb")
    assert adapt(client, example).status_code == 201
    assert taken(document, CLASSIFY)["properties"]["items"]["maxItems"] == 4
