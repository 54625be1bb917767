"""Server-sent events of a job, from a real server: a client that leaves, comes back, and waits until the end."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import pytest

from configs.settings import Settings
from database import jobs
from monitoring import metrics
from serving.app import create_app
from serving.front import Front
from tests.serving.conftest import CONFIG, Source, wait_until
from tests.serving.test_jobs import work
from tests.serving.test_leaving import listening

QUICK = CONFIG.model_copy(update={"jobs": CONFIG.jobs.model_copy(update={"heartbeat_seconds": 0.2, "streams": 2})})


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('events') / 'vitrina.db'}"


@pytest.fixture(scope="module")
def worker(url, tmp_path_factory):
    home = tmp_path_factory.mktemp("worker")
    with listening(create_app(Settings(home, url, f"sqlite:///{home / 'mlflow.db'}"), QUICK, Source())) as port:
        yield port


@pytest.fixture(scope="module")
def front(worker):
    app = Front(lambda: f"http://127.0.0.1:{worker}", max_body_bytes=10_000, body_seconds=5, answer_seconds=1)
    with listening(app) as port:
        yield port


@pytest.fixture(params=["worker", "front"])
def port(request):
    return request.getfixturevalue(request.param)


def asked(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {"content-type": "application/json"} | headers)
    return connection, connection.getresponse()


def left(port, items):
    body = json.dumps({"items": [{"title": str(place)} for place in range(items)]})
    connection, response = asked(port, "POST", "/v1/embeddings/batch", body, Prefer="respond-async")
    assert response.status == 202
    job = json.loads(response.read())
    connection.close()
    return job


@contextmanager
def watching(port, job, last=None):
    """An iterator over events: (kind, id, job) or ("comment", None, text)."""
    connection, response = asked(port, "GET", f"/v1/jobs/{job['id']}/events", **({"Last-Event-ID": last} if last else {}))
    try:
        assert response.status == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield events(response)
    finally:
        response.close()
        connection.close()


def events(response):
    said = {}
    while line := response.readline().decode():
        line = line.rstrip("\n")
        if line.startswith(":"):
            yield "comment", None, line
        elif line:
            name, _, value = line.partition(": ")
            said[name] = value
        elif "event" in said:
            yield said["event"], said["id"], json.loads(said["data"])
            said = {}


def happenings(stream):
    return ((kind, name, job) for kind, name, job in stream if kind != "comment")


def test_progress_is_told_until_the_end_and_the_stream_closes(port, url):
    job = left(port, 6)
    with watching(port, job) as stream:
        told = happenings(stream)
        kind, _, first = next(told)
        assert (kind, first["id"], first["state"], first["progress"]) == ("progress", job["id"], "queued", 0)
        work(url, most=2)
        while first["done"] < 2:
            kind, _, first = next(told)
        assert (kind, first["state"], first["model"]["version"]) == ("progress", "running", 3)
        work(url)
        rest = list(told)
    assert [kind for kind, _, _ in rest][-1] == "ended"
    assert [kind for kind, _, _ in rest].count("ended") == 1
    last = rest[-1][2]
    assert (last["state"], last["done"], last["progress"]) == ("succeeded", 6, 1)


def test_who_comes_back_gets_what_is_new_and_is_told_when_there_is_nothing_more(port, url):
    job = left(port, 4)
    with watching(port, job) as stream:
        _, seen, _ = next(happenings(stream))
    with watching(port, job, last=seen) as stream:
        assert next(stream)[0] == "comment", "what was seen is not said again"
        work(url, most=1)
        _, name, new = next(happenings(stream))
        assert (new["state"], name != seen) == ("running", True)
    work(url)
    with watching(port, job, last=name) as stream:
        [(kind, end, new)] = list(happenings(stream))
        assert (kind, new["done"]) == ("ended", 4)
    connection, response = asked(port, "GET", f"/v1/jobs/{job['id']}/events", **{"Last-Event-ID": end})
    assert (response.status, response.read()) == (204, b"")
    connection.close()
    with watching(port, job, last="what is this") as stream:
        assert [kind for kind, _, _ in stream] == ["ended"]


@pytest.mark.slow
def test_a_silent_job_keeps_the_connection(port):
    with watching(port, left(port, 1)) as stream:
        kinds = [next(stream)[0] for _ in range(8)]  # longer than an answer may take through this front
    assert kinds == ["progress", *["comment"] * 7]


def test_a_cancelled_job_ends(port):
    job = left(port, 3)
    with watching(port, job) as stream:
        next(stream)
        asked(port, "DELETE", f"/v1/jobs/{job['id']}")[0].close()
        assert [(kind, job["state"]) for kind, _, job in happenings(stream)] == [("ended", "cancelled")]


def test_so_many_watch_at_most_and_who_leaves_gives_the_place_back(port):
    job = left(port, 1)
    with watching(port, job), watching(port, job):
        connection, response = asked(port, "GET", f"/v1/jobs/{job['id']}/events")
        said = json.loads(response.read())
        assert (response.status, said["error"]["code"]) == (503, "too_many_streams")
        assert int(response.headers["Retry-After"]) > 0
        connection.close()
    deadline = time.monotonic() + 60
    while True:
        connection, response = asked(port, "GET", f"/v1/jobs/{job['id']}/events")
        connection.close()
        if response.status == 200:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_how_long_a_client_watches_is_no_latency(worker):
    job = left(worker, 1)
    with watching(worker, job) as stream:
        for _ in range(5):  # a second
            next(stream)
        asked(worker, "DELETE", f"/v1/jobs/{job['id']}")[0].close()
        list(stream)
    sums = [line for line in metrics.exposition().decode().splitlines() if "seconds_sum" in line and "/events" in line]
    counts = [line for line in metrics.exposition().decode().splitlines() if "seconds_count" in line and "/events" in line]
    assert 0 < sum(float(line.split()[-1]) for line in sums) < 0.2 * sum(float(line.split()[-1]) for line in counts)


def test_watching_keeps_no_thread(worker, url):
    job = left(worker, 1)
    before = threading.active_count()
    with watching(worker, job) as one, watching(worker, job) as other:
        for _ in range(5):
            next(one), next(other)
        assert threading.active_count() <= before + 2, "threads of the pool that ask the database, shared by all"


def test_a_job_that_is_forgotten_ends_the_stream(worker, url):
    job = left(worker, 1)
    with watching(worker, job) as stream:
        next(stream)
        jobs.cancel(url, job["id"])
        assert [kind for kind, _, _ in happenings(stream)] == ["ended"]
    wait_until(lambda: jobs.find(url, job["id"]).state == "cancelled")
