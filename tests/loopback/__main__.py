"""A Kubeflow of this machine, to follow docs/kubeflow.md with: `.venv/bin/python tests/loopback DIR`, until Ctrl-C."""

import signal
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def main(folder: Path) -> None:
    """Start everything in `folder`, say how it is used, and wait."""
    from loopback.cluster import cluster

    folder.mkdir(parents=True, exist_ok=True)
    for ended_by in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore the first
        signal.signal(ended_by, signal.default_int_handler)
    try:
        with cluster(folder.resolve()) as started:
            lines = [f"export {name}={value}" for name, value in started.variables.items()]
            sys.stdout.write("\n".join([*lines, f"vitrina stack kubeflow --config {started.file}", "# Ctrl-C ends it", ""]))
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        sys.stdout.write("ended\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: .venv/bin/python tests/loopback DIR")
    sys.path[:1] = [str(TESTS.parent), str(TESTS)]  # the first was this folder
    main(Path(sys.argv[1]))
