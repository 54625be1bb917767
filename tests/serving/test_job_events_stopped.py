"""A server that is told to stop while clients watch jobs, in a process that inherits nothing that other tests left open."""

import os
import signal
import time

import pytest
import uvicorn
from fresh import started
from homes import settings_of
from ports import free_port

from serving.app import create_app
from tests.serving.conftest import CONFIG, Source, wait_until
from tests.serving.test_job_events import asked, left, watching


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_does_not_wait_for_those_who_watch(tmp_path, told):
    port = free_port()
    server = started(serve, tmp_path, port)
    try:
        wait_until(lambda: answers(port) or not server.is_alive(), 300)
        with watching(port, left(port, 1)) as stream:
            next(stream)
            os.kill(server.pid, told)
            deadline = time.monotonic() + 30
            for kind, _, _ in stream:
                assert kind == "comment", "the stream ends, the job does not"
                assert time.monotonic() < deadline, "it still speaks"
        server.join(30)
        assert server.exitcode in (0, -told), "it still waits"
    finally:
        server.kill()
        server.join()


def serve(home, port):
    """In a process of its own, which never returns."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    try:
        settings = settings_of(home)
        uvicorn.run(create_app(settings, CONFIG, Source()), port=port, log_level="warning")
    finally:
        os._exit(0)


def answers(port):
    try:
        connection, response = asked(port, "GET", "/readyz")
    except ConnectionError:
        return False
    connection.close()
    return response.status == 200
