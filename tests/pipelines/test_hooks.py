"""What stopped a step reaches whoever ran the pipeline."""

from typing import Any

import pytest
from zenml.exceptions import RunInterruptedException

from configs.errors import CheckFailed, VitrinaError
from operations.run import execute
from pipelines.hooks import remember


def failing(*causes: BaseException) -> Any:
    """A pipeline whose steps fail as ZenML's do."""

    def run() -> None:
        for cause in causes:
            remember(cause)
        raise RuntimeError("step failed")

    return run


def test_the_domain_error_that_stopped_a_step_is_raised() -> None:
    with pytest.raises(VitrinaError, match="no purchases"):
        execute(failing(VitrinaError("no purchases")))
    with pytest.raises(CheckFailed, match="newest"):
        execute(failing(VitrinaError("older"), CheckFailed("newest")))


def test_an_interrupted_run_was_interrupted_from_the_keyboard() -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(failing(RunInterruptedException("SIGINT")))


def test_a_failure_of_an_earlier_run_is_not_told_again() -> None:
    with pytest.raises(VitrinaError):
        execute(failing(VitrinaError("the run before")))
    with pytest.raises(RuntimeError, match="step failed"):
        execute(failing())
