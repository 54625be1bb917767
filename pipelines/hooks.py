"""What every pipeline does when a step fails."""

from zenml.exceptions import RunInterruptedException

failures: list[BaseException] = []
"""What stopped steps of this process, the newest last: ZenML itself reports a failed run without its cause."""


def remember(exception: BaseException) -> None:
    """Failure hook: keep the exception that stopped a step; a run that was interrupted was so from the keyboard."""
    failures.append(KeyboardInterrupt() if isinstance(exception, RunInterruptedException) else exception)
