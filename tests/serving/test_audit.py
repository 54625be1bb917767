"""What clients delete and cancel is in the audit trail, with the name of their key."""

import pytest
from starlette.testclient import TestClient

from database.audit import entries
from database.catalog import remove
from database.errors import NotFound
from database.fewshot import delete_task
from database.jobs import Item, cancel, submit
from database.keys import create
from serving.app import create_app
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


def test_what_did_not_happen_is_not_told(settings):
    url = settings.database_url
    for deed in (lambda: delete_task(url, "0" * 32, "eve"), lambda: cancel(url, "0" * 32, None, "eve")):
        with pytest.raises(NotFound):
            deed()
    with pytest.raises(NotFound):
        remove(url, "17", known=False, who="eve")
    assert rows(url) == []
