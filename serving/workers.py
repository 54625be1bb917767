"""Several workers behind one address: `python -m serving.workers`, which `vitrina serve` becomes where it has more than one.

This process holds the front and BentoML's supervisor, whose children are the workers; the supervisor starts a worker again
that has ended. Told to stop, it first lets the requests in flight be answered.
"""

import os
import secrets
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import bentoml
import uvicorn
from bentoml.serving import ensure_prometheus_dir
from circus.exc import ConflictError
from starlette.types import ASGIApp

from configs.schema import ServingConfig
from configs.settings import Settings
from monitoring.metrics import MULTIPROCESS
from serving.access import passed
from serving.access.gate import Gate
from serving.access.keyring import of_database
from serving.front import Front
from serving.inner import front_of
from serving.logs import configure
from serving.observed import Observed
from serving.playground import Beside, Playground
from serving.run import CONFIG, ROOT, SERVICE, ServingError
from serving.traces import Traced, Traces

SOCKET = "_bento_api_server"
"""BentoML's name of the socket that its workers share."""
START_SECONDS = 60.0
DRAIN_SECONDS = 15
"""Longest wait for requests in flight when told to stop."""
WATCH_SECONDS = 0.5
LOOK_SECONDS = 0.5
"""From a lost connection to the look at the workers: a process closes its connections a moment before it has ended."""


class Supervisor:
    """BentoML's supervisor in a thread of this process; its workers listen on a port of 127.0.0.1 that the system chose."""

    def __init__(self) -> None:
        self._server: Any = bentoml.serve(SERVICE, working_dir=str(ROOT), host=passed.LISTENS_ON, port=0)
        self._about_to_look = False

    @property
    def running(self) -> bool:
        """Whether it looks after its workers."""
        return bool(self._server.running)

    def address(self) -> str:
        """Where the workers listen; waits until they have a socket, not until they answer.

        Raises:
            ServingError: they have none after a minute.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.running:
            if time.monotonic() > deadline:
                raise ServingError(f"BentoML's supervisor did not start within {START_SECONDS:g} s")
            time.sleep(0.05)
        return f"http://{passed.LISTENS_ON}:{self._server.arbiter.sockets[SOCKET].port}"

    def look(self) -> None:
        """Start workers again that have ended, now and not at the next of the supervisor's rounds, 10 s apart."""
        if not self._about_to_look:
            self._about_to_look = True
            loop = self._server.arbiter.loop
            loop.add_callback(loop.call_later, LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._about_to_look = False
        with suppress(ConflictError):  # it looks at this moment
            self._server.arbiter.manage_watchers()

    def stop(self) -> None:
        """End the workers, and wait for them."""
        self._server.stop()


def main() -> None:
    """Serve until told to stop; exit code 1 where the supervisor ended by itself."""
    config = ServingConfig.model_validate_json(os.environ[CONFIG])
    configure(config.log)
    os.environ[passed.TOKEN] = token = secrets.token_urlsafe(32)
    os.environ[MULTIPROCESS] = ensure_prometheus_dir()  # where the workers count
    supervisor = Supervisor()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)  # the supervisor would end its workers at once; the server below takes both
    front = Front(
        supervisor.address,
        max_body_bytes=config.max_body_bytes,
        body_seconds=config.request_seconds,
        answer_seconds=config.net_seconds,
        on_lost=supervisor.look,
        token=token,
    )
    traces = Traces()
    server = uvicorn.Server(
        uvicorn.Config(
            Observed(Traced(guarded(front, config), traces)),
            host=config.host,
            port=config.port,
            lifespan="on",
            log_level="warning",
            log_config=None,
            access_log=False,
            forwarded_allow_ips=list(config.access.trusted_proxies),
            server_header=False,
            date_header=False,  # workers say both
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    lost = threading.Event()
    threading.Thread(target=_watch, args=(supervisor, server, lost), daemon=True).start()
    with traces.opened():
        server.run()
    supervisor.stop()
    sys.exit(1 if lost.is_set() or not server.started else 0)


def guarded(front: Front, config: ServingConfig) -> ASGIApp:
    """The front behind what asks clients for keys, or a gateway for its secret."""
    gateway = front_of(os.environ, gateway=bool(config.upstreams))
    if gateway is not None:
        return passed.Behind(front, gateway)
    settings = Settings.from_environment()
    shown = Beside(front, Playground(settings, config), lives=True) if config.playground.enabled else front
    return Gate(shown, of_database(settings.database_url, config.access), config.access, config.host)


def _watch(supervisor: Supervisor, server: uvicorn.Server, lost: threading.Event) -> None:
    """End the server where its supervisor has ended: what started it sees that, and nobody waits for answers in vain."""
    while not server.started:
        time.sleep(WATCH_SECONDS)
    while not server.should_exit:
        if not supervisor.running:
            lost.set()
            server.should_exit = True
        time.sleep(WATCH_SECONDS)


if __name__ == "__main__":
    main()
