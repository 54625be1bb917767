"""A worker that is killed while it teaches a task, in a process that inherits nothing that other tests left open."""

import os
import signal
import time

import httpx
import pytest
import uvicorn
from fresh import started
from homes import settings_of
from ports import free_port

import serving.routes._fewshot_tasks as tasks
from database.fewshot import insert_task, kept_examples, newest_tasks
from serving.app import create_app
from tests.serving.conftest import CONFIG, Source
from tests.serving.conftest import serving as application

FEWSHOT = CONFIG.model_copy(update={"models": ("fewshot",)})
BODY = {
    "examples": [{"label": "Shirts", "title": "cotton shirt"}, {"label": "Shoes", "title": "leather shoe"}],
    "keep_examples": True,
}
KEY = {"Idempotency-Key": "same"}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["adapted", "stored"])
def test_a_worker_that_is_killed_before_it_answers_leaves_a_whole_task_or_none(tmp_path, moment):
    port = free_port()
    worker = started(_serve_and_be_killed, tmp_path, moment, port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_ready(client, worker)
            with pytest.raises(httpx.TransportError):
                client.post("/v1/fewshot/adapt", json=BODY, headers=KEY)
    finally:
        worker.terminate()  # where it was not killed before
        worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    url = f"sqlite:///{tmp_path / 'vitrina.db'}"
    assert len(newest_tasks(url, 10)) == (1 if moment == "stored" else 0)
    with application(tmp_path, FEWSHOT) as client:
        again = client.post("/v1/fewshot/adapt", json=BODY, headers=KEY)
        assert again.status_code == 201
        task_id = again.json()["task_id"]
        assert [known["task_id"] for known in client.get("/v1/fewshot/tasks").json()["tasks"]] == [task_id]
        answer = client.post("/v1/fewshot/classify", json={"task_id": task_id, "items": [{"title": "cotton shirt"}]})
        assert answer.json()["items"][0]["label"] == "Shirts"
    assert [row.label for row in kept_examples(url, task_id, 1)] == ["Shirts", "Shoes"]


def _serve_and_be_killed(home, moment, port):
    """In a process of its own, which never returns."""

    def killed(*arguments):
        if moment == "stored":
            insert_task(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        tasks.insert_task = killed
        settings = settings_of(home)
        uvicorn.run(create_app(settings, FEWSHOT, Source()), port=port, log_level="warning")
    finally:
        os._exit(1)


def _wait_until_ready(client, worker):
    deadline = time.monotonic() + 300
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            assert worker.is_alive() and time.monotonic() < deadline, "the worker does not answer"
        time.sleep(0.05)
