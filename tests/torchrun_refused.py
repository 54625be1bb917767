"""A command that torchrun starts, `torchrun … -m torchrun_refused FOLDER`, and that says no; it imports nothing that trains."""

import sys
from pathlib import Path

from configs.errors import CheckFailed, VitrinaError
from models.training import torchrun


def main(folder: Path) -> None:
    """A rank; rank 0 finds a gate that says no, at the end of a command that wrote something."""
    with torchrun.joined() as world:
        if world.rank:
            world.follow()
            return
        with (folder / "starts").open("a") as file:
            file.write("one\n")
        raise CheckFailed("no better than the champion")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except VitrinaError as said:
        sys.exit(f"{said} ({said.exit_code})")
