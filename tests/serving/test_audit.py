"""What clients delete and cancel is in the audit trail, with the name of their key."""

import threading

import pytest
from starlette.testclient import TestClient

from configs.schema import ResultsConfig
from database.audit import entries
from database.catalog import remove
from database.errors import NotFound
from database.fewshot import delete_task
from database.jobs import Item, cancel, submit
from database.keys import create, name_of
from jobs.work import Work
from serving.app import create_app
from serving.results import Results
from serving.routes import kinds
from tests.serving.conftest import CONFIG, Source, wait_until

EXAMPLES = [{"label": label, "title": f"{label} {n}"} for label in ("bags", "hats") for n in range(2)]
SERVED = CONFIG.model_copy(
    update={"models": ("fewshot", "product"), "access": CONFIG.access.model_copy(update={"reread_seconds": 0.02})}
)


def rows(url):
    return [(row.who, row.action, row.subject) for row in entries(url)]


@pytest.fixture
def audited(settings):
    with TestClient(create_app(settings, SERVED, Source()), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_a_task_that_is_deleted_over_http(audited, settings):
    url = settings.database_url
    task = audited.post("/v1/fewshot/adapt", json={"examples": EXAMPLES}).json()["task_id"]
    _, token = create(url, "curator", ("teach",), who="ada")
    headers = {"X-API-Key": token}
    wait_until(lambda: audited.get("/v1/fewshot/tasks").status_code == 401)
    assert audited.delete(f"/v1/fewshot/tasks/{task}").status_code == 401
    assert audited.delete(f"/v1/fewshot/tasks/{task}", headers=headers).status_code == 204
    assert audited.delete(f"/v1/fewshot/tasks/{task}", headers=headers).status_code == 404
    assert rows(url) == [("curator", "few-shot task deleted", task), ("ada", "key created", "curator")]


def test_where_no_key_is_asked_for_the_address_is_told(audited, settings):
    task = audited.post("/v1/fewshot/adapt", json={"examples": EXAMPLES}).json()["task_id"]
    audited.delete(f"/v1/fewshot/tasks/{task}")
    assert rows(settings.database_url) == [("testclient", "few-shot task deleted", task)]


def test_a_job_that_is_cancelled_over_http_is_told_once(audited, settings):
    url = settings.database_url
    job, _ = submit(url, "embeddings/batch", [Item(place=0, sent={"title": "a"})])
    for _ in range(2):
        assert audited.delete(f"/v1/jobs/{job.id}").json()["state"] == "cancelled"
    [row] = entries(url)
    assert (row.who, row.action, row.subject) == ("testclient", "job cancelled", job.id)
    assert row.detail == {"kind": "embeddings/batch", "owner": "anyone"}


def test_a_product_that_is_deleted_is_told_once(settings):
    url = settings.database_url
    for _ in range(2):
        remove(url, "17", known=True, who="shop")
    assert rows(url) == [("shop", "product deleted", "17")]


def test_a_product_that_is_put_hidden_and_shown_is_told_each_time(audited, settings):
    url, path = settings.database_url, "/v1/catalog/products/99"
    _, token = create(url, "shop", ("catalog",), who="ada")
    headers = {"X-API-Key": token}
    wait_until(lambda: audited.get("/v1/models").status_code == 401)
    for body in ({"title": "Blue jeans"}, {"hidden": True}, {"hidden": False}, {"title": "Red jeans", "hidden": True}):
        assert audited.put(path, json=body, headers=headers).is_success
    assert audited.put("/v1/catalog/products/nobody", json={"hidden": True}, headers=headers).status_code == 404
    several = {"items": [{"product_id": name, "title": f"hat {name}"} for name in ("a", "b")]}
    assert audited.post("/v1/catalog/products", json=several, headers=headers).status_code == 200
    told = [(row.who, row.action, row.subject, row.detail) for row in entries(url)][::-1]
    assert told[1:] == [
        ("shop", "product put", "99", {"revision": 1, "hidden": False}),
        ("shop", "product hidden", "99", {"revision": 2}),
        ("shop", "product shown", "99", {"revision": 3}),
        ("shop", "product put", "99", {"revision": 4, "hidden": True}),
        ("shop", "product put", "a", {"revision": 5, "hidden": False}),
        ("shop", "product put", "b", {"revision": 6, "hidden": False}),
    ]


def test_products_that_a_job_puts_are_told_under_the_name_of_its_key(settings):
    url = settings.database_url
    key, _ = create(url, "shop", ("catalog",), who="ada")
    job, _ = submit(url, "catalog/products", [Item(place=0, sent={"product_id": "a", "title": "hat"})], owner=key.id)
    work = Work(url, CONFIG, kinds(url, Results(url, ResultsConfig())), Source(), threading.Event())
    begun = work.begin(job.id, "run")
    assert begun is not None
    assert work.batch(begun, "run")
    assert rows(url)[0] == ("shop", "product put", "a")
    assert name_of(url, "gone") == "gone"


def test_what_did_not_happen_is_not_told(settings):
    url = settings.database_url
    for deed in (lambda: delete_task(url, "0" * 32, "eve"), lambda: cancel(url, "0" * 32, None, "eve")):
        with pytest.raises(NotFound):
            deed()
    with pytest.raises(NotFound):
        remove(url, "17", known=False, who="eve")
    assert rows(url) == []
