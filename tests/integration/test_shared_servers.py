"""Two of everything on one PostgreSQL and one MLflow server: nothing is lost and nothing done twice, also over a crash of it."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import committed
import httpx
import pytest
from commands import VITRINA, environment
from ports import free_port
from services import Postgres, mlflow_server, postgres, until

from configs.settings import Settings
from database import jobs
from database.catalog import states_since
from database.engine import reading
from database.events import all_events
from database.ledger import promotions
from database.tables import Feedback, Prediction
from registry.connection import connected
from registry.promotion import promote, rollback
from registry.register import register
from registry.versions import alias_targets, versions

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
HOSTS = ("one", "two")
TRAINING = ("--set", "gates={thresholds: [{metric: ndcg_at_10, at_least: 0.0}]}", "--set", "evaluation.latency_calls=5")
TRIALS = 3
SEARCH = {
    "model": {"preset": "tiny"},
    "trainer": {"batch_size": 32, "workers": 0, "precision": "32-true"},
    "split": {"validation": 0.1},
    "tuning": {
        "space": {"trainer.learning_rate": {"low": 0.001, "high": 0.01, "log": True}},
        "metric": "validation/loss",
        "trials": TRIALS,
        "epochs": 1,
        "rows": 100,
    },
}
LISTING = {"title": "Nordal Men Blue Striped Shirt", "brand": "Nordal"}
SERVING = (
    *("--set", "models=[product,recommender]", "--set", "poll_seconds=0.5"),
    *("--set", "access.keep_seconds=3600"),  # however long the database is away here
)
ITEMS_A_JOB = 3
PAUSE = 0.05
"""Seconds between an acknowledgement and the client's next request."""
AWAY_SECONDS = 5.0
RECOVERS_WITHIN = 300.0
STARTS_WITHIN = 900.0
"""On a machine that has other work, two of everything take their time."""


class Shared(NamedTuple):
    """The servers, and where each host keeps what is its own."""

    database: Postgres
    settings: dict[str, Settings]
    folder: Path

    @property
    def url(self) -> str:
        return self.settings["one"].database_url

    def start(self, host: str, command: Sequence[str], log: str) -> "subprocess.Popen[str]":
        """A process of a host, which has a home of its own."""
        mine = self.settings[host]
        told = {"VITRINA_DATABASE_URL": mine.database_url, "MLFLOW_TRACKING_URI": mine.tracking_uri}
        told["PYTHONPATH"] = os.pathsep.join(map(str, (TESTS.parent, TESTS)))
        with (self.folder / f"{host}-{log}").open("a") as errors:
            return subprocess.Popen(
                command, env=environment(mine.home) | told, cwd=mine.home, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def said(self, host: str, log: str) -> str:
        return (self.folder / f"{host}-{log}").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "mlflow").mkdir()
    with postgres(durable=True) as cluster:
        ours, theirs = cluster.database("vitrina"), cluster.database("mlflow")
        with mlflow_server(folder / "mlflow", store=theirs) as tracking:
            settings = {host: Settings(folder / host, ours, tracking) for host in HOSTS}
            for mine in settings.values():
                mine.home.mkdir()
            yield Shared(cluster, settings, folder)


@pytest.fixture(scope="module")
def worked(shared: Shared, sample: Path) -> dict[str, list[Any]]:
    """What each host printed that worked on a study, then trained, while the other did so too."""
    search = shared.folder / "search.json"
    search.write_text(json.dumps(SEARCH))
    tune = ["tune", "product", "--data", str(sample), "--config", str(search), "--study", "shared", "--json"]
    train = ["train", "recommender", "--data", str(sample), "--env", "demo", "--json", *TRAINING]
    commands = {host: [tune, [*train, "--set", f"trainer.seed={seed}"]] for seed, host in enumerate(HOSTS)}
    processes = {
        host: shared.start(host, [sys.executable, str(TESTS / "session.py"), *map(json.dumps, commands[host])], "session")
        for host in HOSTS
    }
    printed = {host: process.communicate(timeout=STARTS_WITHIN)[0] for host, process in processes.items()}
    for host, process in processes.items():
        assert process.returncode == 0, shared.said(host, "session")[-2000:]
    return {host: [json.loads(line) for line in text.splitlines()] for host, text in printed.items()}


def test_two_workers_of_a_study_do_no_trial_twice(shared: Shared, worked: dict[str, list[Any]]) -> None:
    first, second = (tuned for tuned, _ in worked.values())
    assert first["study"] == second["study"] == "shared"
    assert first["mlflow_run"] == second["mlflow_run"]
    with connected(shared.settings["one"]) as client:
        experiment = client.get_run(first["mlflow_run"]).info.experiment_id
        runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{first['mlflow_run']}'")
    numbers = sorted(int(run.data.tags["vitrina.trial"]) for run in runs)
    assert numbers == list(range(len(numbers)))
    assert len({run.data.params["trainer.learning_rate"] for run in runs}) == len(runs)
    assert len(numbers) in (TRIALS, TRIALS + 1), "one more is begun where both find at once that one is lacking"


def test_two_trainers_register_a_version_each(shared: Shared, worked: dict[str, list[Any]]) -> None:
    found = versions(shared.settings["one"], "recommender")
    assert sorted(trained["version"] for _, trained in worked.values()) == [each.version for each in reversed(found)] == [1, 2]
    assert len({each.run_id for each in found}) == len({each.tags["vitrina.bundle_sha256"] for each in found}) == 2
    assert list(alias_targets(shared.settings["two"], "recommender")) == ["challenger"]
    with connected(shared.settings["two"]) as client:
        assert {client.get_run(each.run_id).info.status for each in found} == {"FINISHED"}


def test_two_promoters_leave_one_history(shared: Shared, worked: dict[str, list[Any]]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda host: promote(shared.settings[host], "recommender", HOSTS.index(host) + 1, host), HOSTS))
    first, second = promotions(shared.url, "recommender")
    assert (first.sequence, second.sequence, first.from_version, second.from_version) == (1, 2, None, first.to_version)
    assert {(row.who, row.to_version) for row in (first, second)} == {("one", 1), ("two", 2)}
    aliases = alias_targets(shared.settings["one"], "recommender")
    assert aliases == {"champion": second.to_version, "previous": first.to_version}


class Refusal(NamedTuple):
    """An answer that is no acknowledgement."""

    kind: str
    status: int
    code: str
    retry_after: str | None


class Load:
    """Clients that ask both services in turn, until told to stop; what is refused is sent again until it is acknowledged.

    Attributes:
        acknowledged: What clients were told that it is done: answers by kind, in order.
        answered_by: When a service last acknowledged something of a kind.
    """

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.acknowledged: dict[str, list[Any]] = defaultdict(list)
        self.answered_by: dict[tuple[str, str], float] = {}
        self.refusals: list[Refusal] = []
        self.repeated: Counter[str] = Counter()
        self.problems: list[str] = []
        self._stopped, self._names = threading.Event(), itertools.count()
        self._run = uuid.uuid4().hex[:8]
        kinds = (self.predict, self.tell, self.teach, self.leave, self.put)
        self._threads = [threading.Thread(target=self._ask, args=(kind,)) for kind in kinds]

    def predict(self, client: httpx.Client, number: int) -> None:
        said = self._sent(client, number, "predict", "POST", "/v1/multimodal/classify", {"title": f"Shirt {self._run} {number}"})
        self._note("predict", said["prediction_id"])

    def tell(self, client: httpx.Client, number: int) -> None:
        event = {"user_id": 3, "item_id": 10_005, "kind": "view", "event_id": str(uuid.uuid4())}
        self._sent(client, number, "tell", "POST", "/v1/recommendations/events", {"events": [event]})
        self._note("tell", event["event_id"])

    def teach(self, client: httpx.Client, number: int) -> None:
        """What was true of the newest prediction, which its service may still hold."""
        if known := self.acknowledged["predict"]:
            body = {"prediction_id": known[-1], "labels": {"article_type": "Shirts"}}
            self._sent(client, number, "teach", "POST", "/v1/feedback", body)
            self._note("teach", body["prediction_id"])

    def leave(self, client: httpx.Client, number: int) -> None:
        items = [{"title": f"Watch {self._run} {number} {place}"} for place in range(ITEMS_A_JOB)]
        headers = {"Prefer": "respond-async", "Idempotency-Key": f"{self._run}-{number}"}
        path = "/v1/embeddings/batch"
        first = self._sent(client, number, "leave", "POST", path, {"items": items}, headers)
        again = self._sent(client, number + 1, "leave", "POST", path, {"items": items}, headers)  # of the other service
        if first["id"] != again["id"]:
            self.problems.append(f"{headers['Idempotency-Key']} is two jobs")
        self._note("leave", first["id"])
        self._stopped.wait(10 * PAUSE)

    def put(self, client: httpx.Client, number: int) -> None:
        name = f"{self._run}-{number}"
        self._sent(client, number, "put", "PUT", f"/v1/catalog/products/{name}", {"title": f"Belt {name}"})
        self._note("put", name)

    def _note(self, kind: str, what: str) -> None:
        self.acknowledged[kind].append(what)

    def _sent(
        self, client: httpx.Client, turn: int, kind: str, method: str, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> Any:
        deadline = time.monotonic() + RECOVERS_WITHIN + AWAY_SECONDS
        while True:
            url = self.urls[turn % len(self.urls)]
            answer = client.request(method, url + path, json=body, headers=headers)
            if answer.is_success:
                self.answered_by[kind, url] = time.monotonic()
                return answer.json()
            code = answer.json()["error"]["code"]
            self.refusals.append(Refusal(kind, answer.status_code, code, answer.headers.get("Retry-After")))
            self.repeated[body.get("prediction_id", "")] += 1
            if time.monotonic() > deadline or answer.status_code != 503:
                raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            turn += 1
            time.sleep(0.2)

    def _ask(self, kind: Callable[[httpx.Client, int], None]) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._stopped.is_set():
                try:
                    kind(client, next(self._names))
                except (AssertionError, httpx.HTTPError, KeyError) as error:
                    self.problems.append(f"{kind.__name__}: {error!r}")
                self._stopped.wait(PAUSE)

    def is_answered_by_all(self, since: float) -> bool:
        kinds = ("predict", "tell", "teach", "leave", "put")
        return all(self.answered_by.get((kind, url), 0.0) > since for kind in kinds for url in self.urls)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def running(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Until the block ends: then it is told to end, and does."""
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Deployed(NamedTuple):
    """Addresses of the services by host."""

    shared: Shared
    urls: dict[str, str]

    def version(self, host: str, model: str = "product") -> int | None:
        found = {each["name"]: each["version"] for each in httpx.get(f"{self.urls[host]}/v1/models", timeout=60).json()["models"]}
        return found[model]


@pytest.fixture(scope="module")
def deployed(shared: Shared) -> Iterator[Deployed]:
    """A service and a worker a host, with two versions of the product model, of which the first is champion."""
    mine = shared.settings["one"]
    for model, config in (("product", "1"), ("product", "2"), ("recommender", "")):
        bundle = committed.copied(model, shared.folder / f"{model}{config}")
        tags = {"vitrina.gates": "passed", "vitrina.config": config}
        made = register(mine, model, bundle, metrics={}, config={}, tags=tags, reports={})
        if config != "2":
            promote(mine, model, made.version, "one")
    ports = {host: free_port() for host in HOSTS}
    urls = {host: f"http://127.0.0.1:{port}" for host, port in ports.items()}
    with ExitStack() as stack:
        for host, port in ports.items():
            services = shared.start(host, [VITRINA, "serve", "--no-worker", "--port", str(port), *SERVING], "serve")
            worker = shared.start(host, [VITRINA, "worker", "--set", "jobs.watch_seconds=86400"], "worker")
            stack.enter_context(running(services))
            stack.enter_context(running(worker))
        until(
            lambda: all(is_ready(url) for url in urls.values()),
            told=lambda: shared.said("one", "serve")[-2000:],
            within=STARTS_WITHIN,
        )
        yield Deployed(shared, urls)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def check_nothing_is_lost(load: Load, url: str) -> None:
    """What clients were told is in the database, once."""
    assert load.problems == []
    told = load.acknowledged

    def predicted(endpoint: str) -> list[str]:
        with reading(url) as connection:
            return list(
                connection.scalars(
                    Prediction.__table__.select().with_only_columns(Prediction.id).where(Prediction.endpoint == endpoint)
                )
            )

    until(lambda: set(told["predict"]) <= set(predicted("multimodal/classify")), within=RECOVERS_WITHIN)
    left = [job for job in jobs.newest(url, limit=10**6) if job.id in set(told["leave"])]
    assert len(left) == len(told["leave"])
    until(lambda: not jobs.states(url)["queued"] and not jobs.states(url)["running"], within=RECOVERS_WITHIN)
    done = [(jobs.find(url, job).state, jobs.find(url, job).done) for job in told["leave"]]
    assert Counter(done) == {("succeeded", ITEMS_A_JOB): len(done)}
    assert {event.event_id for event in all_events(url)} >= set(told["tell"])
    with reading(url) as connection:
        taught = Counter(connection.scalars(Feedback.__table__.select().with_only_columns(Feedback.prediction_id)))
    expected = Counter(told["teach"])
    assert all(expected[name] <= taught[name] <= expected[name] + load.repeated[name] for name in expected)
    assert dict(states_since(url, 0)[1]).keys() >= set(told["put"])


def totals(url: str) -> dict[str, int]:
    """Rows that there are in all."""
    with reading(url) as connection:
        predictions = Counter(connection.scalars(Prediction.__table__.select().with_only_columns(Prediction.endpoint)))
    return {
        "predict": predictions["multimodal/classify"],
        "items": predictions["embeddings"],
        "tell": sum(1 for _ in all_events(url)),
        "leave": sum(jobs.states(url).values()),
        "put": len(states_since(url, 0)[1]),
    }


def check_totals(before: dict[str, int], load: Load, url: str) -> None:
    told = {kind: len(load.acknowledged[kind]) for kind in ("predict", "tell", "leave", "put")}
    new = {kind: count - before[kind] for kind, count in totals(url).items()}
    assert new == told | {"items": ITEMS_A_JOB * told["leave"]}


def test_two_services_and_two_workers_share_one_state(deployed: Deployed) -> None:
    url, before = deployed.shared.url, totals(deployed.shared.url)
    assert (deployed.version("one"), deployed.version("two")) == (1, 1)
    with Load(list(deployed.urls.values())) as load:
        until(lambda: len(load.acknowledged["leave"]) >= 6 or bool(load.problems), within=RECOVERS_WITHIN)
        promote(deployed.shared.settings["one"], "product", 2, "one")
        until(lambda: deployed.version("two") == 2, within=RECOVERS_WITHIN)
    check_nothing_is_lost(load, url)
    check_totals(before, load, url)
    assert load.refusals == []
    assert [(row.from_version, row.to_version, row.who) for row in promotions(url, "product")] == [
        (None, 1, "one"),
        (1, 2, "one"),
    ]


def test_a_crash_of_the_database_loses_nothing_that_was_acknowledged(deployed: Deployed) -> None:
    shared, url, before = deployed.shared, deployed.shared.url, totals(deployed.shared.url)
    ledger, aliases = promotions(url, "product"), alias_targets(shared.settings["one"], "product")
    with Load(list(deployed.urls.values())) as load:
        until(lambda: load.is_answered_by_all(0.0) or bool(load.problems), within=RECOVERS_WITHIN)
        shared.database.stop("immediate")
        stopped = time.monotonic()
        refused = shared.start("two", [VITRINA, "promote", "product", "1", "--reviewer", "two"], "refused")
        assert refused.communicate(timeout=120)[0] == ""
        answered = len(load.acknowledged["predict"])
        until(lambda: len(load.acknowledged["predict"]) > answered + 20 and time.monotonic() > stopped + AWAY_SECONDS)
        shared.database.start()
        started = time.monotonic()
        until(lambda: load.is_answered_by_all(started) or bool(load.problems), within=RECOVERS_WITHIN)
    assert refused.returncode == 2
    [line] = shared.said("two", "refused").strip().splitlines()
    assert line.startswith("vitrina: ")
    assert {(status, code) for _, status, code, _ in load.refusals} == {(503, "database_unavailable")}
    assert {refusal.kind for refusal in load.refusals} == {"tell", "teach", "leave", "put"}
    assert all(refusal.retry_after == "5" for refusal in load.refusals)
    check_nothing_is_lost(load, url)
    check_totals(before, load, url)
    assert promotions(url, "product") == ledger
    assert alias_targets(shared.settings["one"], "product") == aliases

    rollback(shared.settings["two"], "product", "two")
    until(lambda: [deployed.version(host) for host in HOSTS] == [1, 1], within=RECOVERS_WITHIN)
    assert [row.who for row in promotions(url, "product")] == ["one", "one", "two"]
