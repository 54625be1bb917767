"""What steps hand each other, named and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.catalogue import Catalogue
from configs.schema import StrictModel
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation


class Delivery(StrictModel):
    """A catalogue's directories as they were when the run began; their content decides what is cached."""

    paths: tuple[str, ...]
    fingerprint: str

    def open(self) -> Catalogue:
        """The catalogue.

        Raises:
            CatalogueError: a directory or a table is gone, or can no longer be read.
        """
        return Catalogue.open(*map(Path, self.paths))


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
