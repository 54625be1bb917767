"""A Kubeflow of this machine, to follow docs/kubeflow.md with: `.venv/bin/python tests/loopback DIR`, until Ctrl-C."""

import signal
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
AT_ONCE = 2
"""Pods that run beside each other."""


def main(folder: Path) -> None:
    """Start everything in `folder`, say how it is used, and wait."""
    from services import postgres_binaries

    from loopback.cluster import cluster

    if postgres_binaries() is None:
        sys.exit("there is no PostgreSQL on this machine: install Debian's package postgresql, or one that has initdb")
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore the first
        signal.signal(ending, signal.default_int_handler)
    try:
        with cluster(folder.resolve(), AT_ONCE) as started:
            lines = [
                f"Kubeflow Pipelines' API: {started.kubeflow.address}",
                f"MLflow: {started.mlflow}",
                f"ZenML: {started.zenml}",
                "in another terminal:",
                f"    source {started.environment}",
                f"    .venv/bin/vitrina stack kubeflow --config {started.file}",
                "ready; Ctrl-C ends it",
            ]
            sys.stdout.write("\n".join([*lines, ""]))
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        sys.stdout.write("ended\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: .venv/bin/python tests/loopback DIR")
    sys.path[:1] = [str(TESTS.parent), str(TESTS)]  # the first was this folder
    main(Path(sys.argv[1]))
