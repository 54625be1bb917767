"""Kubeflow Pipelines' API, v2beta1, as far as its client uses it to submit and to wait."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import Message
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs

from json_server import serving_json

from loopback.pods import Refused
from loopback.runs import ENDED, Node, Run, Runs

API = "/apis/v2beta1"
Body = dict[str, Any]
Thing = TypeVar("Thing")


class NotFound(ValueError):
    """Nothing has this id."""


class KubeflowApi:
    """What was submitted to it, in the order in which it came."""

    def __init__(self, node: Node) -> None:
        self.runs = Runs(node)
        self.recurring: list[Body] = []
        self.experiments: list[Body] = []
        self.address = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Body) -> tuple[int, Body]:
        """Status and JSON of a request."""
        routes: list[tuple[str, str, Callable[..., Body]]] = [
            ("GET", r"/healthz", lambda: {"multi_user": False}),
            ("GET", r"/experiments", lambda: self._experiments(query)),
            ("POST", r"/experiments", lambda: self._experiment(body)),
            ("GET", r"/experiments/([^/]+)", self._experiment_of),
            ("GET", r"/runs", lambda: {"runs": [_shown(run) for run in self.runs.all.values()]}),
            ("POST", r"/runs", lambda: _shown(self.runs.submit(body))),
            ("GET", r"/runs/([^/:]+)", lambda run: _shown(_of(self.runs.all, run))),
            ("POST", r"/runs/([^/:]+):terminate", self._terminate),
            ("POST", r"/recurringruns", lambda: self._recur(body)),
        ]
        for asked, pattern, handler in routes:
            if asked == method and (found := re.fullmatch(API + pattern, path)):
                try:
                    return 200, handler(*found.groups())
                except NotFound as error:
                    return _error(404, 5, f"{error} not found")
                except Refused as error:
                    return _error(400, 3, str(error))
        return _error(404, 5, f"no route {method} {path}")

    def _experiments(self, query: dict[str, list[str]]) -> Body:
        wanted = [p["stringValue"] for text in query.get("filter", []) for p in json.loads(text)["predicates"]]
        found = [one for one in self.experiments if not wanted or one["display_name"] in wanted]
        return {"experiments": found, "total_size": len(found)}

    def _experiment(self, body: Body) -> Body:
        made = body | {"experiment_id": str(uuid.uuid4()), "created_at": datetime.now(UTC).isoformat()}
        self.experiments.append(made)
        return made

    def _experiment_of(self, experiment: str) -> Body:
        return _of({one["experiment_id"]: one for one in self.experiments}, experiment)

    def _terminate(self, run: str) -> Body:
        _of(self.runs.all, run).cancel()
        return {}

    def _recur(self, body: Body) -> Body:
        made = body | {"recurring_run_id": str(uuid.uuid4()), "status": "ENABLED"}
        self.recurring.append(made)
        return made


def _of(known: dict[str, Thing], wanted: str) -> Thing:
    if wanted not in known:
        raise NotFound(wanted)
    return known[wanted]


def _shown(run: Run) -> Body:
    """A V2beta1Run."""
    tasks = [
        {"run_id": run.run_id, "task_id": name, "display_name": run.pods[name].step, "state": state}
        | dict(zip(("start_time", "end_time"), run.times[name], strict=False))
        | ({"error": {"code": 2, "message": run.errors[name]}} if name in run.errors else {})
        for name, state in run.tasks.items()
    ]
    shown = {
        **run.submitted,
        "run_id": run.run_id,
        "created_at": run.created_at,
        "state": run.state,
        "state_history": run.history,
        "run_details": {"task_details": tasks},
    }
    if run.state in ENDED:
        shown["finished_at"] = run.history[-1]["update_time"]
    if run.errors:
        shown["error"] = {"code": 2, "message": "; ".join(f"{name}: {error}" for name, error in run.errors.items())}
    return shown


def _error(status: int, code: int, message: str) -> tuple[int, Body]:
    return status, {"error": message, "code": code, "message": message, "details": []}


@contextmanager
def kubeflow(node: Node, port: int = 0) -> Iterator[KubeflowApi]:
    """The API on 127.0.0.1 with its runs; what still runs at the end is ended."""
    api = KubeflowApi(node)

    def answer(method: str, address: SplitResult, _: Message, body: Body) -> tuple[int, Body]:
        return api.answer(method, address.path, parse_qs(address.query), body)

    with serving_json(answer, port) as api.address:
        try:
            yield api
        finally:
            api.runs.end()
