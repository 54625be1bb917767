"""What steps hand each other, named and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from configs.schema import StrictModel
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation


class Delivery(StrictModel):
    """A catalogue directory as it was when the run began; its content decides what is cached."""

    path: str
    fingerprint: str


class MaybeEvaluation(StrictModel):
    """The champion's evaluation, or none while no champion exists."""

    version: int | None = None
    evaluation: Evaluation | None = None


class RegisteredVersion(StrictModel):
    """Where the run's model can be found."""

    model: str
    version: int
    run_id: str
    challenger: bool
    gates: GateDecision


@dataclass(frozen=True)
class Bundle:
    """A trained model's folder; see `models.family`."""

    path: Path

    def files(self) -> Mapping[str, Path]:
        """Relative name to path of every file."""
        return {p.relative_to(self.path).as_posix(): p for p in sorted(self.path.rglob("*")) if p.is_file()}
