"""`vitrina --help` and each `vitrina COMMAND --help` against `python -c "import typer"`, as whole processes.

python -m benchmarks.cli_startup
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import typer.main

from benchmarks.machine import write
from cli import app

VITRINA = str(Path(sys.executable).with_name("vitrina"))
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
PEER = [sys.executable, "-c", "import typer"]
RUNS = 11


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    commands = {"vitrina --help": [VITRINA, "--help"]}
    commands |= {f"vitrina {name} --help": [VITRINA, name, "--help"] for name in COMMANDS}
    seconds(PEER)
    figures = {}
    for name, command in commands.items():
        seconds(command)
        pairs = [(seconds(command), seconds(PEER)) for _ in range(RUNS)]
        figures[name] = {
            "seconds_median": round(statistics.median(ours for ours, _ in pairs), 3),
            "seconds_max": round(max(ours for ours, _ in pairs), 3),
            "ratio_to_import_typer": round(statistics.median(ours / peer for ours, peer in pairs), 2),
        }
        print(name, figures[name])
    print(write("cli_startup", {"claim": "help answers in under 0.5 s, a command's help in under 1 s", "figures": figures}))


if __name__ == "__main__":
    main()
