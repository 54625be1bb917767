"""Work that is left with the service, through the whole application; done by what a worker does them with."""

import base64
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from configs.schema import ResultsConfig
from configs.settings import Settings
from database import jobs
from database.jobs import ENDED
from database.predictions import newest_predictions
from jobs.work import Work
from registry.errors import RegistryError
from serving.app import create_app
from serving.jobs.routes import COMPLETE, LINES, PARQUET
from serving.results import Results
from serving.routes import kinds
from serving.routes.product import EMBED_BATCH
from serving.routes.quality import ASSESS
from serving.slots import Loaded
from tests.serving.conftest import CONFIG, LIMIT, Predictor, Source, refused, wait_until

ALL = CONFIG.model_copy(update={"models": ("describer", "imagegen", "product", "quality")})
QUICK = ALL.model_copy(update={"jobs": ALL.jobs.model_copy(update={"retry_seconds": 0.01})})
"""How jobs are worked at."""
PREFER = {"Prefer": "respond-async"}
ROUTES = {
    "embeddings/batch": {"title": "Leather belt"},
    "quality/assess": {"title": "Leather belt", "product_id": 7},
    "generate/description": {"title": "Leather belt", "brand": "Fossil"},
    "generate/image": {"prompt": "Men Blue Running Shoes", "seed": 7, "candidates": 2},
}


@pytest.fixture(scope="module")
def config():
    return ALL


@pytest.fixture
def url(settings):
    return settings.database_url


def tuned(**jobs):
    """The configuration with other settings of jobs."""
    return ALL.model_copy(update={"jobs": ALL.jobs.model_copy(update=jobs)})


def work(url, *, most=None, source=None):
    """Do all items of each job that waits, or its first `most`, as a worker does, with version 3 of each model."""
    stopping = threading.Event()
    known = {
        name: kind if most is None else replace(kind, batch=most)
        for name, kind in kinds(url, Results(url, ResultsConfig())).items()
    }
    worker = Work(url, QUICK, known, source or Source(at=3), stopping)
    for job in reversed(jobs.newest(url)):
        if job.state in ENDED:
            continue
        taken = worker.begin(job.id, "test")
        assert taken is not None
        while worker.batch(taken, "test") and most is None:
            pass
        if most is None:
            worker.finish(job.id)


def leave(client, route="embeddings/batch", items=None, headers=None, **body):
    """The job that is left by a request."""
    sent = body or {"items": [ROUTES[route]] if items is None else items}
    response = client.post(f"/v1/{route}", json=sent, headers=PREFER | (headers or {}))
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"/v1/jobs/{response.json()['id']}"
    return response.json()


def lines(client, job, **query):
    response = client.get(f"/v1/jobs/{job['id']}/result", params=query)
    assert (response.status_code, response.headers["content-type"]) == (200, LINES)
    return [json.loads(line) for line in response.text.splitlines()]


def plain(answer):
    """An answer without what differs from one request to the next."""
    return {name: value for name, value in answer.items() if name not in ("prediction_id", "model")}


# How a request becomes a job


def test_a_request_that_prefers_so_is_left_and_found_again(client, url):
    response = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}, {"title": "b"}]}, headers=PREFER)
    job = response.json()
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "respond-async")
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["job"]
    assert (job["kind"], job["state"], job["items"], job["done"], job["failed"]) == ("embeddings/batch", "queued", 2, 0, 0)
    assert (job["progress"], job["model"], job["detail"], job["started_at"]) == (0, None, None, None)
    looked = client.get(response.headers["Location"])
    assert looked.json() == job | {"failures": []}
    assert looked.headers["Retry-After"] == "1"
    work(url)
    looked = client.get(response.headers["Location"])
    done = looked.json()
    assert "Retry-After" not in looked.headers
    assert (done["state"], done["done"], done["progress"]) == ("succeeded", 2, 1)
    assert done["model"] == {"name": "product", "version": 3}
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_job_answers_what_its_route_answers_at_once(client, url, route):
    several = route == "embeddings/batch"
    body = {"items": [ROUTES[route]]} if several else ROUTES[route]
    at_once = client.post(f"/v1/{route}", json=body)
    assert at_once.status_code == 200, at_once.text
    answer = at_once.json()["items"][0] if several else at_once.json()
    job = leave(client, route)
    work(url)
    [line] = lines(client, job)
    assert (line["place"], line["state"], line["error"]) == (0, "done", None)
    assert line["result"]["model"] == {"name": answer["model"]["name"], "version": 3}
    assert plain(line["result"]) == plain(answer) | ({} if route != "generate/image" else {"images": line["result"]["images"]})


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in ROUTES if route != "embeddings/batch"])
def test_an_item_alone_can_be_left_as_well(client, url, route):
    job = leave(client, route, **ROUTES[route])
    assert (job["kind"], job["items"]) == (route, 1)
    work(url)
    assert lines(client, job)[0]["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("route", ["embeddings/batch", "quality/assess", "generate/description"])
def test_more_than_is_answered_at_once_becomes_a_job(client, url, route):
    at_once = client.post(f"/v1/{route}", json={"items": [ROUTES[route]] * 4})
    assert (at_once.status_code, len(at_once.json()["items"])) == (200, 4)
    response = client.post(f"/v1/{route}", json={"items": [ROUTES[route]] * 5})
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers
    work(url)
    assert [line["place"] for line in lines(client, response.json())] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_several_images_are_always_a_job(client, url):
    response = client.post("/v1/generate/image", json={"items": [{"prompt": "Shoes", "seed": seed} for seed in (1, 2)]})
    assert response.status_code == 202
    work(url)
    assert [line["result"]["seed"] for line in lines(client, response.json())] == [1, 2]


def test_other_preferences_and_forms_are_answered_at_once(client):
    for header in ("wait=10", "return=minimal", "not-respond-async"):
        response = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}]}, headers={"Prefer": header})
        assert response.status_code == 200
    assert client.post("/v1/quality/assess", files={"title": (None, "a")}, headers=PREFER).status_code == 200
    assert client.post("/v1/price/predict", json={"title": "a"}, headers=PREFER).status_code == 200
    several = [("Prefer", "wait=10"), ("Prefer", "handling=lenient; x=1, RESPOND-ASYNC")]
    assert client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}]}, headers=several).status_code == 202


# What is not taken


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"items": []}, "items", "at least 1 item"),
        ({"items": {}}, "items", "valid"),
        ({"items": None}, "items", "valid"),
        ({"items": [{"title": "a"}], "top": 1}, "top", "unknown field 'top'; allowed: items"),
        ({}, "items", "Field required"),
        ([], None, "valid dictionary"),
    ],
)
def test_a_body_that_has_no_items_is_refused_at_once(client, url, body, field, says):
    for headers in (PREFER, {}):
        response = client.post("/v1/embeddings/batch", json=body, headers=headers)
        message = refused(response, 400, "invalid_input", field)
        assert says in message or "object" in message
    assert jobs.newest(url) == []


def test_what_is_no_json_is_refused_at_once(client, url):
    for data in (b"{", b"", b"\xff", b'{"items": [{"title": "a"}]'):
        headers = PREFER | {"content-type": "application/json"}
        assert "not valid JSON" in refused(client.post("/v1/generate/image", content=data, headers=headers), 400, "invalid_input")
    refused(client.post("/v1/embeddings/batch", content=b"{}", headers=PREFER), 415, "unsupported_media_type")
    assert jobs.newest(url) == []


@pytest.mark.parametrize("config", [tuned(max_items=6)], ids=["six"])
def test_a_job_has_an_upper_bound(client, url):
    assert leave(client, items=[{"title": "a"}] * 6)["items"] == 6
    response = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}] * 7})
    assert refused(response, 400, "invalid_input", "items") == "items: holds 7; at most 6 are allowed"


def test_a_huge_body_is_refused_as_ever(client, url):
    body = {"items": [{"title": "a", "description": "x" * (LIMIT // 2)}] * 3}
    refused(client.post("/v1/embeddings/batch", json=body, headers=PREFER), 413, "too_large")
    deep = b'{"items": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    headers = PREFER | {"content-type": "application/json"}
    refused(client.post("/v1/embeddings/batch", content=deep, headers=headers), 400, "invalid_input")
    assert jobs.newest(url) == []


@pytest.mark.parametrize("config", [tuned(max_waiting=2)], ids=["two"])
def test_more_jobs_than_may_wait_get_429(client, url):
    first, _ = leave(client), leave(client)
    response = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}]}, headers=PREFER)
    refused(response, 429, "too_many_jobs")
    assert int(response.headers["Retry-After"]) > 0
    assert client.delete(f"/v1/jobs/{first['id']}").json()["state"] == "cancelled"
    leave(client)


def test_a_database_that_is_away_takes_no_job(tmp_path, config):
    away = Settings(tmp_path, "postgresql://nobody@127.0.0.1:9/nothing", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with TestClient(create_app(away, config, Source()), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        response = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}]}, headers=PREFER)
        refused(response, 503, "database_unavailable")
        refused(client.get("/v1/jobs"), 503, "database_unavailable")


# Items at fault


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "item"),
    [
        ("embeddings", {"title": "a", "price": -1}),
        ("embeddings", {"title": "a", "colour": "red"}),
        ("embeddings", {"title": "a", "price": "5"}),
        ("embeddings", {"title": ["a"]}),
        ("embeddings", {"title": "a\x00b"}),
        ("embeddings", {}),
        ("embeddings", {"image": "http://127.0.0.1/a.jpg"}),
        ("embeddings", {"image": base64.b64encode(b"no photo").decode()}),
        ("embeddings", {"title": "refused"}),
        ("quality/assess", {"title": "a", "product_id": True}),
        ("quality/assess", {"title": "refused"}),
        ("generate/description", {"price": 5}),
        ("generate/description", {"title": "refused"}),
        ("generate/image", {"prompt": "naked people"}),
        ("generate/image", {"prompt": "x" * 1001}),
        ("generate/image", {"prompt": "shoes", "candidates": 9}),
        ("generate/image", {"prompt": "shoes", "size": "48x48"}),
        ("generate/image", {"prompt": "refused"}),
    ],
)
def test_an_item_at_fault_fails_as_its_route_refuses_it_and_the_others_are_done(client, url, route, item):
    alone = client.post(f"/v1/{route}", json=item)
    assert alone.status_code == 400
    batch = "embeddings/batch" if route == "embeddings" else route
    job = leave(client, batch, items=[ROUTES[batch], item, ROUTES[batch]])
    work(url)
    good, bad, other = lines(client, job)
    assert (good["state"], other["state"]) == ("done", "done")
    assert bad == {"place": 1, "state": "failed", "result": None, "error": alone.json()["error"]}
    found = client.get(f"/v1/jobs/{job['id']}").json()
    assert (found["state"], found["done"], found["failed"], found["failures"]) == ("partly_failed", 2, 1, [bad])


@pytest.mark.slow
def test_items_that_are_no_objects_or_no_numbers_fail_alone(client, url):
    body = '{"items": [{"title": "a"}, 7, null, "x", {"title": "a", "price": NaN}, {"title": "a", "price": 1e999}]}'
    response = client.post("/v1/embeddings/batch", content=body, headers=PREFER | {"content-type": "application/json"})
    assert response.json()["failed"] == 5
    work(url)
    assert [line["state"] for line in lines(client, response.json())] == ["done", *["failed"] * 5]


@pytest.mark.slow
def test_a_job_of_nothing_but_faults_has_failed(client, url):
    job = leave(client, items=[{}, {"colour": "red"}, {"title": 5}])
    work(url)
    found = client.get(f"/v1/jobs/{job['id']}").json()
    assert (found["state"], found["failed"], found["progress"]) == ("failed", 3, 1)


@pytest.mark.slow
def test_of_an_item_that_is_refused_nothing_is_kept(client, url):
    job = leave(client, "generate/image", items=[{"prompt": "Naked people"}, {"prompt": "Shoes", "wish": "secret"}])
    assert "aked" not in str(jobs.items(url, job["id"])) + str(client.get(f"/v1/jobs/{job['id']}").text)
    assert "secret" not in str(jobs.items(url, job["id"]))


def test_a_model_that_cannot_do_it_fails_the_item_with_501s_reason(client, url):
    job = leave(client, "quality/assess")
    predictor = Predictor(3)
    predictor.lacks = {"quality": "no faults"}
    kind = ASSESS
    [outcome] = kind.answer(Loaded(3, predictor), ALL, [kind.reader(ALL)(ROUTES["quality/assess"])])
    assert (outcome.status, outcome.code) == (501, "not_supported")
    assert job["kind"] == "quality/assess"


def test_what_breaks_a_batch_is_the_batchs(client):
    kind = EMBED_BATCH
    items = [kind.reader(ALL)({"title": title}) for title in ("a", "crash")]
    with pytest.raises(RuntimeError, match="a bug"):
        kind.answer(Loaded(3, Predictor(3)), ALL, items)


def test_product_assesses_until_quality_is_there(settings):
    source = Source(at=3, errors={"quality": RegistryError("model 'quality' has no champion")})
    config = ALL.model_copy(update={"unpromoted": ("quality",)})
    with TestClient(create_app(settings, config, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        several = client.post("/v1/quality/assess", json={"items": [{"title": "a"}, {"title": "b"}]}).json()
        assert several["model"]["name"] == "product"
        assert [(item["score"], item["verdict"]) for item in several["items"]] == [(0.25, None)] * 2
        job = leave(client, "quality/assess")
        work(settings.database_url, source=source)
        [line] = lines(client, job)
        assert (line["result"]["model"]["name"], line["result"]["score"]) == ("product", 0.25)


def test_several_listings_are_assessed_at_once_and_the_one_at_fault_is_named(client, settings):
    listings = [{"title": "a"}, {"title": "b", "description": "c"}]
    answer = client.post("/v1/quality/assess", json={"items": listings}).json()
    assert (set(answer), answer["model"]) == ({"model", "items"}, {"name": "quality", "version": 1})
    assert [item["axes"][0]["axis"] for item in answer["items"]] == ["description", "attributes"]
    wait_until(lambda: len(newest_predictions(settings.database_url, "quality", 5)) == 2)
    logged = {row.id for row in newest_predictions(settings.database_url, "quality", 5)}
    assert logged == {item["prediction_id"] for item in answer["items"]}
    wrong = client.post("/v1/quality/assess", json={"items": [{"title": "a"}, {"title": "refused"}]})
    assert "is refused" in refused(wrong, 400, "invalid_input", "items.1")
    wrong = client.post("/v1/quality/assess", json={"items": [{"title": "a"}, {}]})
    assert "says nothing" in refused(wrong, 400, "invalid_input", "items.1")
    wrong = client.post("/v1/quality/assess", json={"items": [{"title": "a", "price": 0}]})
    refused(wrong, 400, "invalid_input", "items.0.price")


# The same request again


def test_the_same_request_by_the_same_name_is_the_same_job(client, url):
    headers = {"Idempotency-Key": "import 7".replace(" ", "-")}
    first, again = leave(client, headers=headers), leave(client, headers=headers)
    assert first == again
    work(url)
    assert leave(client, headers=headers)["state"] == "succeeded"
    other = client.post("/v1/embeddings/batch", json={"items": [{"title": "other"}]}, headers=PREFER | headers)
    refused(other, 422, "idempotency_key_reused", "Idempotency-Key")
    other = client.post("/v1/quality/assess", json={"items": [ROUTES["embeddings/batch"]]}, headers=PREFER | headers)
    refused(other, 422, "idempotency_key_reused", "Idempotency-Key")
    wrong = client.post("/v1/embeddings/batch", json={"items": [{"title": "a"}]}, headers=PREFER | {"Idempotency-Key": "a b"})
    refused(wrong, 400, "invalid_input", "Idempotency-Key")
    assert len(jobs.newest(url)) == 1
    assert leave(client)["id"] != leave(client)["id"]


@pytest.mark.slow
def test_fifty_identical_requests_at_once_are_one_job(client, url):
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: leave(client, headers={"Idempotency-Key": "once"}), range(50)))
    assert len({job["id"] for job in found}) == len(jobs.newest(url)) == 1


@pytest.mark.slow
def test_requests_that_differ_only_in_an_item_at_fault_differ(client):
    headers = PREFER | {"Idempotency-Key": "k"}
    assert client.post("/v1/embeddings/batch", json={"items": [{"colour": 1}]}, headers=headers).status_code == 202
    refused(
        client.post("/v1/embeddings/batch", json={"items": [{"colour": 2}]}, headers=headers),
        422,
        "idempotency_key_reused",
        "Idempotency-Key",
    )


# Looking at jobs


def test_the_newest_jobs_are_listed_first(client):
    left = [leave(client)["id"] for _ in range(3)]
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == left[::-1]
    assert [job["id"] for job in client.get("/v1/jobs", params={"limit": 2}).json()["jobs"]] == left[:0:-1]
    for limit in ("0", "1001", "-1", "x"):
        refused(client.get("/v1/jobs", params={"limit": limit}), 400, "invalid_input", "limit")


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "8c0f3c8e-4a4e-4f4e-9a53-0c6b0a6f1f0e",
        "..%2f..",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "a%00b",
        "%ff",
        "x" * 5000,
        "小さい",
        "' or 1=1 --",
        "%5c..%5c",
    ],
)
def test_what_names_no_job_is_404(steady, name):
    leave(steady)
    for path in ("", "/result", "/events"):
        assert steady.get(f"/v1/jobs/{name}{path}").status_code == 404
    assert steady.delete(f"/v1/jobs/{name}").status_code == 404


@pytest.mark.slow
def test_the_first_failures_are_shown_and_the_link_has_all(client, url):
    job = leave(client, items=[{"title": "a"}] + [{"price": -place} for place in range(30)])
    work(url)
    found = client.get(f"/v1/jobs/{job['id']}").json()
    assert [item["place"] for item in found["failures"]] == list(range(1, 21))
    every = client.get(found["links"]["failures"])
    assert [json.loads(line)["place"] for line in every.text.splitlines()] == list(range(1, 31))
    assert "failures" not in client.get("/v1/jobs").json()["jobs"][0]


class Keyed:
    """What the check of keys leaves for the routes, by a header that says so."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if key := dict(scope.get("headers", ())).get(b"x-test-key"):
            scope.setdefault("state", {})["key"] = key.decode()
        await self.app(scope, receive, send)


@pytest.mark.slow
def test_jobs_belong_to_the_key_that_left_them(settings, config, source):
    with TestClient(Keyed(create_app(settings, config, source))) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        ann, bob = {"x-test-key": "ann"}, {"x-test-key": "bob"}
        job = leave(client, headers=ann | {"Idempotency-Key": "k"})
        path = f"/v1/jobs/{job['id']}"
        for other in (bob, {}):
            for answer in (client.get(path, headers=other), client.delete(path, headers=other)):
                assert answer.json() == client.get("/v1/jobs/nothing").json() | answer.json()
                assert answer.status_code == 404
            assert client.get(f"{path}/result", headers=other).status_code == 404
            assert client.get(f"{path}/events", headers=other).status_code == 404
            assert client.get("/v1/jobs", headers=other).json() == {"jobs": []}
        assert client.get(path, headers=ann).json()["state"] == "queued"
        assert [found["id"] for found in client.get("/v1/jobs", headers=ann).json()["jobs"]] == [job["id"]]
        assert leave(client, headers=bob | {"Idempotency-Key": "k"})["id"] != job["id"], "each owner has names of its own"


@pytest.mark.slow
def test_a_job_is_cancelled_once_and_stays_so(client, url):
    job = leave(client, items=[{"title": str(place)} for place in range(5)])
    work(url, most=2)
    path = f"/v1/jobs/{job['id']}"
    cancelled = client.delete(path)
    assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["done"]) == (200, "cancelled", 2)
    assert client.delete(path).json() == client.get(path).json() == cancelled.json()
    assert [line["place"] for line in lines(client, job)] == [0, 1]
    done = leave(client)
    work(url)
    assert client.delete(f"/v1/jobs/{done['id']}").json()["state"] == "succeeded"


# Results


@pytest.mark.slow
def test_what_is_done_so_far_is_a_result_already(client, url):
    job = leave(client, items=[{"title": str(place)} for place in range(5)])
    path = f"/v1/jobs/{job['id']}/result"
    empty = client.get(path)
    assert (empty.text, empty.headers[COMPLETE], empty.headers["content-type"]) == ("", "false", LINES)
    work(url, most=2)
    assert [line["place"] for line in lines(client, job)] == [0, 1]
    assert client.get(path).headers[COMPLETE] == "false"
    page = client.get(path, headers={"Accept": "application/json"}).json()
    assert (page["complete"], page["next"], page["job"]["done"], len(page["items"])) == (False, None, 2, 2)
    work(url)
    assert client.get(path).headers[COMPLETE] == "true"
    assert [line["place"] for line in lines(client, job)] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_results_are_taken_in_parts(client, url):
    faults = {3, 70, 150}
    job = leave(client, items=[{"title": str(place)} | ({"price": 0} if place in faults else {}) for place in range(200)])
    work(url)
    path = f"/v1/jobs/{job['id']}/result"
    assert [line["place"] for line in lines(client, job)] == list(range(200))
    assert [line["place"] for line in lines(client, job, start=60, limit=100)] == list(range(60, 160))
    assert [line["place"] for line in lines(client, job, state="failed")] == sorted(faults)
    assert [line["place"] for line in lines(client, job, state="done", start=2, limit=2)] == [2, 4]
    assert lines(client, job, start=200) == []
    places, start = [], 0
    while start is not None:
        page = client.get(path, params={"start": start, "limit": 64}, headers={"Accept": "application/json"}).json()
        assert (page["complete"], page["job"]["state"]) == (True, "partly_failed")
        places += [item["place"] for item in page["items"]]
        start = page["next"]
    assert places == list(range(200))
    assert len(client.get(path, headers={"Accept": "application/json"}).json()["items"]) == 100


@pytest.mark.parametrize(
    ("query", "field"),
    [("start=-1", "start"), ("start=x", "start"), ("limit=0", "limit"), ("limit=1001", "limit"), ("state=waiting", "state")],
)
def test_a_wrong_part_is_named(steady, query, field):
    refused(steady.get(f"/v1/jobs/{leave(steady)['id']}/result?{query}"), 400, "invalid_input", field)


def table(client, job, **query):
    response = client.get(f"/v1/jobs/{job['id']}/result", params=query, headers={"Accept": PARQUET})
    assert (response.status_code, response.headers["content-type"]) == (200, PARQUET)
    assert response.headers["content-disposition"] == f'attachment; filename="{job["id"]}.parquet"'
    return pq.read_table(io.BytesIO(response.content))


@pytest.mark.slow
def test_embeddings_come_as_parquet(client, url):
    job = leave(client, items=[{"title": "a"}, {"title": "b", "price": 0}, *({"title": str(place)} for place in range(98))])
    work(url)
    found, expected = table(client, job), lines(client, job)
    assert found.num_rows == 100
    assert [str(found.schema.field(name).type) for name in ("place", "state", "embedding", "result")] == [
        "int64",
        "string",
        "list<element: float>",
        "string",
    ]
    rows = found.to_pylist()
    assert rows[0]["embedding"] == pytest.approx(expected[0]["result"].pop("embedding"), abs=1e-7)
    assert json.loads(rows[0]["result"]) == expected[0]["result"]
    assert (rows[1]["state"], rows[1]["error_code"], rows[1]["error_field"]) == ("failed", "invalid_input", "price")
    assert (rows[1]["embedding"], rows[1]["result"]) == (None, None)
    assert rows[1]["error_message"] == expected[1]["error"]["message"]
    assert found.schema.metadata[b"complete"] == b"true"
    assert table(client, job, start=98).column("place").to_pylist() == [98, 99]


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_every_kind_comes_as_parquet(client, url, route):
    job = leave(client, route, items=[ROUTES[route], {"wrong": 1}])
    assert table(client, job).column("state").to_pylist() == ["failed"]
    work(url)
    good, bad = table(client, job).to_pylist()
    [line, _] = lines(client, job)
    told = {column for column in good if column not in ("place", "state", "error_code", "error_message", "error_field", "result")}
    assert told == set(kinds(url, Results(url, ResultsConfig()))[route].columns)
    said = json.loads(good["result"])
    if route == "generate/image":
        assert base64.b64encode(good["png"]).decode() == line["result"]["images"][0].pop("png")
    if route == "embeddings/batch":
        del line["result"]["embedding"]
    assert said == line["result"]
    assert bad["error_code"] == "invalid_input"


@pytest.mark.slow
def test_the_header_accept_is_weighed(client, url):
    job = leave(client)
    work(url)
    for accept, expected in {
        "*/*": LINES,
        "text/html": LINES,
        "application/json": "application/json",
        f"application/json;q=0.5, {PARQUET}": PARQUET,
        f"{LINES};q=0.1, application/json;q=0.2": "application/json",
        f"{PARQUET};q=0.1, */*": LINES,
        f"{LINES};q=0.1, */*;q=0.5": PARQUET,
        f"{PARQUET}, */*;q=0.1": PARQUET,
    }.items():
        answer = client.get(f"/v1/jobs/{job['id']}/result", headers={"Accept": accept})
        assert answer.headers["content-type"] == expected
        assert answer.headers["Vary"] == "Accept"
    several = [("Accept", f"{LINES};q=0.1"), ("Accept", "application/json")]
    assert client.get(f"/v1/jobs/{job['id']}/result", headers=several).headers["content-type"] == "application/json"


@pytest.mark.slow
def test_predictions_of_a_job_are_known_to_feedback(client, url):
    job = leave(client)
    work(url)
    [line] = lines(client, job)
    told = {"prediction_id": line["result"]["prediction_id"], "labels": {"article_type": "Belts"}}
    assert client.post("/v1/feedback", json=told).status_code == 201
