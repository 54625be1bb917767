"""A server that is told to stop while clients watch jobs. In a file of its own: nothing runs in the process that is forked."""

import os
import signal
import time

import pytest
import uvicorn
from homes import settings_of
from ports import free_port

from serving.app import create_app
from tests.serving.conftest import CONFIG, Source, wait_until
from tests.serving.test_job_events import asked, left, watching


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_does_not_wait_for_those_who_watch(tmp_path, told):
    port = free_port()
    server = os.fork()
    if server == 0:
        serve(tmp_path, port)
    try:
        wait_until(lambda: answers(port))
        with watching(port, left(port, 1)) as stream:
            next(stream)
            os.kill(server, told)
            deadline = time.monotonic() + 30
            for kind, _, _ in stream:
                assert kind == "comment", "the stream ends, the job does not"
                assert time.monotonic() < deadline, "it still speaks"
        deadline = time.monotonic() + 30
        while (ended := os.waitpid(server, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, "it still waits"
            time.sleep(0.05)
        server = None
        assert os.waitstatus_to_exitcode(ended[1]) in (0, -told)
    finally:
        if server is not None:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def serve(home, port):
    """In a child, which never returns."""
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
