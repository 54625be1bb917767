"""Stands for Kubeflow Pipelines' API where only what is submitted matters: it records, and carries nothing out."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any
from urllib.parse import SplitResult

from json_server import serving_json

ERROR = {"code": 2, "message": "nothing is carried out here"}


class Records:
    """What came, and what every run is said to have become.

    Attributes:
        specifications: `pipeline_spec` of each run, in the order of submission.
        tokens: `Authorization` of each request, where it had one.
        state: Of every run.
        refusing: Status of an answer to a submission, where it is refused.
        broken: How many questions about runs are answered with 503 before one is answered.
    """

    def __init__(self) -> None:
        self.specifications: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.state, self.refusing, self.broken, self.address = "FAILED", 0, 0, ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request."""
        kind, _, name = path.removeprefix("/apis/v2beta1/").partition("/")
        if kind == "healthz":
            return 200, {"multi_user": False}
        if kind == "experiments":
            return (200, {"experiment_id": "e", **body}) if method == "POST" or name else (200, {"experiments": []})
        if kind == "runs" and method == "POST":
            if self.refusing:
                return self.refusing, {"error": "refused", "code": 3, "message": "no room\nfor it"}
            self.specifications.append(body["pipeline_spec"])
            self.runs.append(body)
            return 200, {"run_id": f"run-{len(self.runs)}", **body}
        if kind == "runs" and self.broken:
            self.broken -= 1
            return 503, {"error": "restarting"}
        if kind == "runs":
            return 200, {"run_id": name, "state": self.state, "error": ERROR}
        return 404, {"error": f"no route {method} {path}", "code": 5, "message": ""}


@contextmanager
def recording() -> Iterator[Records]:
    """The API on 127.0.0.1."""
    records = Records()

    def answer(method: str, address: SplitResult, headers: Message, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        records.tokens += [told] if (told := headers.get("Authorization")) else []
        return records.answer(method, address.path, body)

    with serving_json(answer) as records.address:
        yield records
