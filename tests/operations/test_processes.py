"""The local stack's processes: started once, known by more than a pid, and ended."""

import json
import os
import signal
import socket
import sys
import time

import psutil
import pytest
from ports import free_port

from configs.schema import ServingConfig
from configs.settings import Settings
from database.monitor_runs import record_run
from operations.processes import STOP_SECONDS, Process, StackError, last_looks, stack, start, status, stop


class Clock:
    """Time that passes by itself: half a minute takes a millisecond."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        time.sleep(seconds / 30_000)


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def web(port, settings):
    command = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    process = Process("web", command, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/")
    yield process
    stop(settings, [process])


def test_a_process_is_started_once_and_ended(settings, web):
    [first] = start(settings, [web], wait_seconds=20)
    assert (first.state, first.url) == ("running", web.url)
    [second] = start(settings, [web], wait_seconds=20)
    assert second.pid == first.pid
    assert stop(settings, [web]) == ["web"]
    assert status(settings, web).state == "stopped"
    assert stop(settings, [web]) == []


def test_status_names_the_processes_that_a_process_runs(settings):
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    parent = Process("parent", (sys.executable, "-c", code))
    start(settings, [parent], wait_seconds=20)
    try:
        deadline = time.monotonic() + 20
        while not (found := status(settings, parent)).workers:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [worker] = found.workers
        assert psutil.Process(worker).ppid() == found.pid
    finally:
        stop(settings, [parent])
    assert status(settings, parent).workers == ()


def test_the_api_has_as_many_workers_as_it_is_told(settings):
    processes = stack(settings, ServingConfig(workers=2), "base", 300, 5000, 8237)
    [api] = [process for process in processes if process.name == "api"]
    assert " --workers 2 " in " ".join(api.command)


def test_versions_link_to_mlflow_and_reports_to_the_playground(settings):
    on = ServingConfig.model_validate({"port": 3100, "playground": {"enabled": True}})
    api, worker = stack(settings, on, "base", 300, 5001, 8237)[2:]
    assert api.command[-2:] == ("--set", "mlflow_ui=http://127.0.0.1:5001")
    assert worker.environment == {"VITRINA_PLAYGROUND": "http://127.0.0.1:3100"}
    api, worker = stack(settings, ServingConfig(mlflow_ui="https://mlflow.example"), "base", 300, 5001, 8237)[2:]
    assert "--set" not in api.command
    assert worker.environment == {}


def test_jobs_are_done_by_one_process_of_their_own(settings):
    processes = stack(settings, ServingConfig(), "demo", 60, 5000, 8237)
    assert [process.name for process in processes] == ["mlflow", "zenml", "api", "worker"]
    api, worker = processes[2:]
    assert "--no-worker" in api.command
    assert worker.command[1:] == ("worker", "--env", "demo", "--set", "jobs.watch_seconds=60")


def test_api_and_worker_are_told_what_was_chosen(settings):
    chosen = ("--config", "/shop/serving.yaml", "--set", "playground.enabled=true")
    api, worker = stack(settings, ServingConfig(), "base", 300, 5000, 8237, chosen)[2:]
    assert api.command[1:9] == ("serve", "--no-worker", "--env", "base", *chosen)
    assert worker.command[-4:] == chosen  # after what else the worker is told: what is chosen by name counts


def test_a_taken_port_is_named_and_nothing_is_started(settings, web, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(StackError, match=f"port {port} for web is taken"):
            start(settings, [web], wait_seconds=5)
    assert status(settings, web).state == "stopped"


def test_an_api_on_an_ipv6_address(settings):
    [api] = [one for one in stack(settings, ServingConfig(host="::1"), "base", 300, 5000, 8237) if one.name == "api"]
    assert (api.url, api.probe) == ("http://[::1]:3000", "http://[::1]:3000/livez")
    assert " --host ::1 " in " ".join(api.command)


def test_a_port_of_an_ipv6_address_is_looked_at(settings):
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    port = other.getsockname()[1]
    command = (sys.executable, "-m", "http.server", str(port), "--bind", "::1")
    web = Process("web", command, f"http://[::1]:{port}", f"http://[::1]:{port}/")
    with other, pytest.raises(StackError, match=f"port {port} for web is taken"):
        start(settings, [web], wait_seconds=5)
    try:
        assert start(settings, [web], wait_seconds=20)[0].state == "running"
    finally:
        stop(settings, [web])


def test_a_process_that_ends_while_starting_names_its_log(settings):
    broken = Process("broken", (sys.executable, "-c", "raise SystemExit('no licence')"), probe="http://127.0.0.1:9/")
    with pytest.raises(StackError, match=r"broken ended while starting; see .*broken\.log"):
        start(settings, [broken], wait_seconds=10)
    assert "no licence" in (settings.home / "logs" / "broken.log").read_text()


@pytest.fixture
def deaf(settings):
    """A process that answers nobody and does not listen to a request to end."""
    ready = settings.home / "ready"
    code = f"import pathlib, signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); "
    code += f"pathlib.Path({str(ready)!r}).touch(); signal.pause()"
    process = Process("deaf", (sys.executable, "-c", code), probe="http://127.0.0.1:9/")
    yield process, ready
    stop(settings, [process], Clock())


@pytest.mark.slow
def test_a_process_that_does_not_answer_in_time_is_named(settings, deaf):
    process, _ = deaf
    clock = Clock()
    with pytest.raises(StackError, match=r"deaf does not answer at http://127.0.0.1:9/ after 180 s; see .*deaf\.log"):
        start(settings, [process], wait_seconds=180, clock=clock)
    assert clock.now > 180
    assert status(settings, process).state == "starting"


def test_a_process_that_does_not_end_is_ended_by_force(settings, deaf):
    process, ready = deaf
    with pytest.raises(StackError, match="does not answer"):
        start(settings, [process], wait_seconds=0, clock=Clock())
    while not ready.exists():
        time.sleep(0.01)
    clock = Clock()
    assert stop(settings, [process], clock) == ["deaf"]
    assert clock.now > STOP_SECONDS
    assert status(settings, process).state == "stopped"


def test_another_process_with_the_same_pid_is_not_ours(settings, web):
    noted = {"pid": os.getpid(), "born": 1.0, "url": web.url, "probe": web.probe}
    file = settings.home / "run" / "web.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(noted))
    assert status(settings, web).state == "stopped"
    assert stop(settings, [web]) == []  # and this test process lives on


def test_the_last_look_at_each_model_is_told(settings):
    assert last_looks(settings) == []
    for verdict in ("drift", "no drift"):
        record_run(settings.database_url, "product", 3, verdict, verdict={"summary": verdict})
    record_run(settings.database_url, "quality", 1, "w", verdict={"summary": "not enough data"})
    found = [(look.model, look.version, look.verdict) for look in last_looks(settings)]
    assert found == [("product", 3, "no drift"), ("quality", 1, "not enough data")]


def test_a_database_that_cannot_be_read_tells_of_no_look(tmp_path):
    (tmp_path / "vitrina.db").write_text("no database")
    assert last_looks(Settings(tmp_path, f"sqlite:///{tmp_path / 'vitrina.db'}", "")) == []
