"""The process that does jobs: `vitrina worker`.

It runs DBOS under a name that it holds by a lock. What a worker left that was killed goes on in any other, or in the next one of
its name; so two never do one job. Idle it imports no model.
"""

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from dbos import DBOS

from configs.schema import ServingConfig
from configs.settings import Settings
from database import jobs, workers, workflows
from database.errors import DatabaseError
from jobs.errors import NameTaken, Stopping
from jobs.retraining import Retraining
from serving.logs import configure

if TYPE_CHECKING:
    from jobs.work import Work

logger = logging.getLogger(__name__)

POLITE = 5
"""Niceness: who waits for an answer goes before jobs and trainings, where both are on one machine."""
LOOK_SECONDS = 1.0
"""Between two looks at whether the name is held, and what dead workers left."""
TRIES = 10
"""To hold a name again whose connection was lost."""
ALIVE = "workers/{}.alive"
"""File below the home that is touched at each look: one that is old belongs to a worker that hangs, or was killed."""
MEND_SECONDS = 10.0
"""Between two looks for jobs that DBOS does not know, or has given up."""
DRAIN_SECONDS = 15.0
"""Longest wait for the items that are computed when the worker is told to end."""


class Worker:
    """One worker of this machine, and the only one of its process.

    Args:
        make_work: Called at the first job, since what it imports is large.
        name: The lowest free of worker-1, worker-2, … by default.
    """

    def __init__(
        self,
        settings: Settings,
        config: ServingConfig,
        make_work: Callable[[threading.Event], "Work"],
        *,
        retraining: Retraining | None = None,
        name: str | None = None,
    ) -> None:
        self._settings, self._url, self._config = settings, settings.database_url, config
        self._make_work, self._made = make_work, threading.Lock()
        self._work: Work | None = None
        self._retraining = retraining
        self._name = name
        self._held: workers.Name | None = None
        self._stopping, self._lost = threading.Event(), False
        self._doing: set[str] = set()
        self._unheard: set[str] = set()
        self._mended = 0.0

    @property
    def name(self) -> str:
        """By which others know what it has taken; "" until it runs."""
        return self._held.name if self._held else ""

    def start(self) -> None:
        """Take a name and begin to work.

        Raises:
            NameTaken: a running worker has it.
            DatabaseError: unreachable.
        """
        workflows.ensure(self._url)
        self._held = workers.take(self._url, self._name) if self._name else workers.take_lowest(self._url)
        if self._held is None:
            raise NameTaken(f"a worker called {self._name!r} runs; choose another name with --id, or none")
        logging.getLogger("dbos").addHandler(logging.NullHandler())  # DBOS adds none of its own then: its lines go where ours do
        DBOS(
            config={
                "name": workflows.APPLICATION,
                "system_database_url": workflows.dbos_url(self._url),
                "application_version": workflows.VERSION,
                "executor_id": self._held.name,
                "serializer": workflows.serializer(),
                "run_migrations": False,  # `ensure` did
                "sys_db_pool_size": 5,
                "log_level": "WARNING",
            }
        )
        DBOS.workflow(name=jobs.WORKFLOW, max_recovery_attempts=None)(self._workflow())
        queues = [jobs.QUEUE]
        if self._retraining is not None:
            queues += self._retraining.register(self._doing, self._stopping)
        DBOS.listen_queues(queues)
        DBOS.launch()
        DBOS.set_latest_application_version(workflows.VERSION)  # after a way back to an earlier release too
        poll = self._config.jobs.poll_seconds
        DBOS.register_queue(jobs.QUEUE, worker_concurrency=1, polling_interval_sec=poll)
        if self._retraining is not None:
            self._retraining.schedule()
        logger.info("%s waits for jobs", self.name)

    def run(self) -> bool:
        """Work until told to stop; False where the name was lost to another worker."""
        alive = self._settings.home / ALIVE.format(self.name)
        alive.parent.mkdir(parents=True, exist_ok=True)
        while not self._stopping.wait(LOOK_SECONDS):
            alive.touch()
            try:
                self.look()
            except DatabaseError as error:
                logger.warning("waiting: %s", error)
        self.stop()
        alive.unlink(missing_ok=True)
        return not self._lost

    def tell_to_stop(self) -> None:
        """Begin nothing more; `run` returns when what is computed now is kept."""
        self._stopping.set()

    def stop(self) -> None:
        """End DBOS, and give the name back."""
        self._stopping.set()
        until = time.monotonic() + DRAIN_SECONDS
        while self._doing and time.monotonic() < until:
            time.sleep(0.05)
        if self._doing:
            logger.warning("ends before %d things that it does; another worker goes on with them", len(self._doing))
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0)
        if self._held is not None:
            self._held.free()

    def look(self) -> None:
        """Let go on what nobody does: what dead workers left, and what ended here without a word."""
        assert self._held is not None
        if not self._held.is_held() and not self._take_again():
            return
        under_way = workflows.under_way(self._url)
        unheard = {job_id for job_id, worker in under_way if worker == self.name and job_id not in self._doing}
        for job_id in unheard & self._unheard:  # twice: it was not about to begin
            workflows.release(self._url, job_id, self.name)
        self._unheard = unheard
        for dead in {worker for _, worker in under_way} - {self.name}:
            with workers.taken(self._url, dead) as is_dead:
                left = [job_id for job_id, worker in under_way if worker == dead and is_dead]
                if sum(workflows.release(self._url, job_id, dead) for job_id in left):
                    logger.info("%s is gone: %s go on", dead, ", ".join(left))
        if time.monotonic() > self._mended + MEND_SECONDS:
            self._mended = time.monotonic()
            self._mend()

    def _mend(self) -> None:
        for job in jobs.given_up(self._url):
            logger.error("job %s: %s", job.id, job.detail)
        if told := jobs.untold(self._url):
            logger.warning("DBOS did not know of %s", ", ".join(told))
        if self._work is not None and not self._doing:
            self._work.models.free_unused(self._config.jobs.idle_seconds)

    def _take_again(self) -> bool:
        """The connection that held the name is gone: hold it by another one, or end, where another worker has it."""
        assert self._held is not None
        self._held.free()
        for _ in range(TRIES):
            if (again := workers.take(self._url, self._held.name)) is not None:
                self._held = again
                return True
            time.sleep(LOOK_SECONDS / TRIES)  # somebody may look at this moment whether it is free
        logger.error("lost the name %s to another worker: this one ends", self.name)
        self._lost = True
        self._stopping.set()
        return False

    def _workflow(self) -> Callable[[str], None]:
        def do_job(job_id: str) -> None:
            self._do(job_id)

        return do_job

    def _do(self, job_id: str) -> None:
        self._doing.add(job_id)
        try:
            if self._stopping.is_set():
                raise Stopping
            taker, work = str(uuid.uuid4()), self._ready()
            job = work.begin(job_id, taker)
            if job is None:
                return
            while DBOS.run_step({"name": "batch"}, work.batch, job, taker):
                if self._stopping.is_set():
                    raise Stopping
            DBOS.run_step({"name": "finish"}, work.finish, job_id)
        finally:
            self._doing.discard(job_id)

    def _ready(self) -> "Work":
        with self._made:
            if self._work is None:
                self._work = self._make_work(self._stopping)
            return self._work


def run(settings: Settings, config: ServingConfig, environment: str, name: str | None = None) -> int:
    """Work in the foreground until SIGTERM or SIGINT; the exit code.

    Raises:
        NameTaken: a running worker has the name.
        DatabaseError: the database cannot be reached.
    """

    def make_work(stopping: threading.Event) -> "Work":
        from jobs.work import Work
        from serving.results import Results
        from serving.routes import kinds
        from serving.source import RegistrySource

        known = kinds(settings.database_url, Results(settings.database_url, config.results))
        return Work(settings.database_url, config, known, RegistrySource(settings), stopping)

    configure(config.log)
    os.nice(POLITE)
    logging.getLogger("jobs").setLevel(logging.INFO)
    worker = Worker(settings, config, make_work, retraining=Retraining(settings, config.jobs, environment), name=name)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the service: threads that share a core wait for each other
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.tell_to_stop())
    worker.start()
    code = 0 if worker.run() else 1
    logging.shutdown()
    os._exit(code)  # threads that compute what nobody waits for any more would be waited for
