"""Schedules: a look at every model that answers, which trains where it has drifted, and the forgetting of old jobs.

A look is a process of its own, `vitrina monitor --retrain`: a training that was killed resumes, and its memory goes with it. Its
window can be claimed once (`database.monitor_runs`), so that two looks never train twice.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dbos import DBOS

from configs.schema import JobsConfig
from configs.settings import Settings
from database import jobs
from database.predictions import last_predictions
from jobs.errors import Stopping
from operations.beside import command

logger = logging.getLogger(__name__)

QUEUE = "watch"
HOURLY = "0 7 * * * *"
LOOK_SECONDS = 0.5
PERIODS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Seconds or minutes that a minute or an hour holds evenly."""
HOURS = (1, 2, 3, 4, 6, 8, 12, 24)


class Retraining:
    """What a worker does by itself.

    Args:
        monitor: Command line that looks, without its options; ours by default.
    """

    def __init__(self, settings: Settings, config: JobsConfig, environment: str, monitor: Sequence[str] = ()) -> None:
        self._settings = settings
        self._config = config
        self._environment = environment
        self._monitor = monitor or (str(Path(sys.executable).with_name("vitrina")), "monitor")
        self._variables = dict(os.environ)  # of a look: a training takes more threads than a job
        self._seen: dict[str, datetime] = {}  # the newest prediction at the last look that went well
        self._doing: set[str] = set()
        self._stopping = threading.Event()

    def register(self, doing: set[str], stopping: threading.Event) -> list[str]:
        """Make DBOS know the workflows; their queues. `doing` holds what this worker does now."""
        self._doing, self._stopping = doing, stopping

        def watch(scheduled_at: datetime, context: Any) -> None:
            for model in DBOS.run_step({"name": "due"}, self.due):
                options = {"workflow_name": "look", "queue_name": QUEUE, "deduplication_id": model}
                # One that waits or runs already is the one that was asked for: looks never pile up.
                DBOS.enqueue_workflow_with_options(options | {"duplication_policy": "return-existing"}, model)  # type: ignore[arg-type]

        def look(model: str) -> str:
            workflow_id = str(DBOS.workflow_id)
            self._doing.add(workflow_id)
            try:
                return DBOS.run_step({"name": "look"}, self.look, model)
            finally:
                self._doing.discard(workflow_id)

        def forget(scheduled_at: datetime, context: Any) -> None:
            DBOS.run_step({"name": "forget"}, self.forget)

        self._workflows = {"watch": DBOS.workflow(name="watch")(watch), "forget": DBOS.workflow(name="forget")(forget)}
        DBOS.workflow(name="look", max_recovery_attempts=None)(look)
        return [QUEUE]

    def schedule(self) -> None:
        """Begin; DBOS runs."""
        DBOS.register_queue(QUEUE, global_concurrency=1)
        crons = {"watch": cron(self._config.watch_seconds), "forget": HOURLY}
        DBOS.apply_schedules(
            [
                {"schedule_name": name, "workflow_fn": workflow, "schedule": crons[name]}
                for name, workflow in self._workflows.items()
            ]
        )

    def due(self) -> list[str]:
        """Models that answered since the last look at them, or at which the last look did not go well."""
        newest = last_predictions(self._settings.database_url)
        return [model for model, at in sorted(newest.items()) if self._seen.get(model) != at]

    def look(self, model: str) -> str:
        """Look at a model in a process of its own; what it said, in one line."""
        at = last_predictions(self._settings.database_url).get(model)
        look = (*self._monitor, "--model", model, "--retrain", "--env", self._environment, "--json")
        with subprocess.Popen(command(look), stdout=subprocess.PIPE, text=True, env=self._variables) as process:
            while True:
                try:
                    output, _ = process.communicate(timeout=LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if self._stopping.is_set():
                        process.terminate()
                        process.communicate()
                        raise Stopping from None
        said = _said(model, output, process.returncode)
        logger.log(logging.INFO if process.returncode == 0 else logging.WARNING, "%s", said)
        if process.returncode == 0 and at is not None:
            self._seen[model] = at
        return said

    def forget(self) -> int:
        """Delete jobs that ended `keep_days` ago; how many."""
        count = jobs.forget(self._settings.database_url, datetime.now(UTC) - timedelta(days=self._config.keep_days))
        if count:
            logger.info("%d jobs that ended more than %g days ago are forgotten", count, self._config.keep_days)
        return count


def cron(seconds: float) -> str:
    """The cron expression, with seconds, of the longest even period of at most `seconds`, a day at most, a second at least."""
    if seconds < 60:
        return f"*/{_longest(PERIODS, seconds)} * * * * *"
    if seconds < 3600:
        return f"0 */{_longest(PERIODS, seconds / 60)} * * * *"
    return f"0 0 */{_longest(HOURS, seconds / 3600)} * * *"


def _longest(periods: tuple[int, ...], most: float) -> int:
    return max((period for period in periods if period <= most), default=periods[0])


def _said(model: str, output: str, code: int) -> str:
    """A line of what a look printed; where it printed nothing, its log says why."""
    if not output.strip():
        return f"{model}: the look ended with exit code {code}; the lines before say why"
    seen = json.loads(output)
    return " · ".join(
        filter(None, [f"{model} version {seen['version']}: {seen['verdict']}", seen["retraining"], seen["refused"]])
    )
