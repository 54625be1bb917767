"""What tests let torchrun start: `torchrun … -m torchrun_cases CASE FOLDER`, trainings of a small task on rank 0's word."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tiny_task import Points, PointTask, fit_points
from torch import Generator, Tensor

from configs.errors import VitrinaError
from models.errors import TrainingError
from models.training import torchrun
from models.training.distributed import rank, world_size


class Refusing(PointTask):
    """Raises a domain error on one rank alone, at its third step, when the others wait for that one."""

    def __init__(self, where: int) -> None:
        super().__init__()
        self.where = where

    def training_loss(self, batch: Points, generator: Generator) -> dict[str, Tensor]:
        if self.steps == 2 and rank() == self.where:
            raise TrainingError(f"refused by {self.where}")
        return super().training_loss(batch, generator)


class Dying(PointTask):
    """Kills rank 1 in the first start and rank 0 in the second, in the middle of an epoch, and says so in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def training_loss(self, batch: Points, generator: Generator) -> dict[str, Tensor]:
        start = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
        if self.steps == 5 and {0: 1, 1: 0}.get(start) == rank():
            (self.folder / f"killed-{rank()}-in-start-{start}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_loss(batch, generator)


def fits(folder: Path) -> None:
    """Trainings that end well, and in between some that do not; writes what became of each."""
    fsdp = {"devices": 2, "strategy": "fsdp", "ema_decay": 0.0}
    cases: Mapping[str, Callable[[Path], object]] = {
        "ddp": lambda place: fit_points(place, epochs=3)[1].best_loss,
        "refused by 1": lambda place: fit_points(place, Refusing(1), epochs=3),
        "fsdp": lambda place: fit_points(place, epochs=3, **fsdp)[1].best_loss,
        "refused by 0": lambda place: fit_points(place, Refusing(0), epochs=3),
        "three": lambda place: fit_points(place, devices=3),
        "elsewhere": elsewhere,
        "again": lambda place: fit_points(place, epochs=3, rows=17)[1].best_loss,
    }
    told: dict[str, object] = {"world between": []}
    for name, case in cases.items():
        try:
            told[name] = case(folder / name)
        except VitrinaError as error:
            told[name] = str(error)
        told["world between"] = sorted({*told["world between"], world_size()})  # type: ignore[misc]
    (folder / "told.json").write_text(json.dumps(told))


def elsewhere(place: Path) -> object:
    """As if the other rank's machine did not share the folder."""
    world = torchrun.world()
    assert world is not None
    place.mkdir()
    return world.call(nothing, Unshared(place))


def nothing(rank: int, folder: Path, loggers: object) -> None:
    """What ranks could do."""


class Unshared(type(Path())):  # type: ignore[misc]
    """A path that means another place in the process that it is sent to."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path, (str(self) + "-of-another",)


def killed(folder: Path) -> None:
    """A training that loses rank 1 and, when it goes on, rank 0."""
    _, result = fit_points(folder, Dying(folder), epochs=5, checkpoint_minutes=1e-6, devices=2)
    (folder / "told.json").write_text(json.dumps({"resumed": result.resumed, "loss": result.best_loss}))


if __name__ == "__main__":
    case, folder = {"fits": fits, "killed": killed}[sys.argv[1]], Path(sys.argv[2])
    torchrun.SHOWN = 1.0
    with torchrun.joined() as world:
        if world.rank:
            world.follow()
        else:
            sys.stdout.write("rank 0 alone prints\n")
            case(folder)
