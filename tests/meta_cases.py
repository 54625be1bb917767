"""Meta-training that is watched, cut or broken on a rank; a module of its own, since fresh processes import it."""

from pathlib import Path

from torch import Tensor

from models.errors import TrainingError
from models.fewshot.learners.prototypes import Prototypes
from models.fewshot.meta import Drill


class Kept:
    """A logger that writes down what it is told, in whichever process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        with self.file.open("a") as file:
            file.write(f"{step} {sorted(metrics.items())}\n")


class Cut(Prototypes):
    """Refuses its fourth task on each rank."""

    calls = 0

    def loss(self, drill: Drill) -> Tensor:
        Cut.calls += 1
        if Cut.calls == 4:
            raise TrainingError("cut")
        return super().loss(drill)


class Broken(Prototypes):
    """The second task of a rank makes a loss that is no number."""

    calls = 0

    def loss(self, drill: Drill) -> Tensor:
        Broken.calls += 1
        return super().loss(drill) * (float("nan") if Broken.calls == 2 else 1.0)
