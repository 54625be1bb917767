"""What steps hand each other, named and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import SerializeAsAny, ValidationInfo, field_validator

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.remote import open_catalogue
from configs.schema import IndexConfig, RunConfig, StrictModel, TuningConfig, ValidationConfig
from configs.settings import Settings
from models import family
from models.bundles import BaseVersion
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation
from provenance.source import index_source, model_source, validation_source


class ModelRun(StrictModel):
    """What a run makes of a delivery: a model with a configuration, from a source; all of it decides what is cached.

    Attributes:
        config: Of the model's own type, `models.family.Family.config`.
        source: Digest, `provenance.source.model_source`.
    """

    model: str
    config: SerializeAsAny[RunConfig]
    source: str

    @classmethod
    def of(cls, model: str, config: RunConfig) -> Self:
        """A run with the source that lies here."""
        return cls(model=model, config=config, source=model_source(model))

    @field_validator("config", mode="before")
    @classmethod
    def _of_its_model(cls, config: Any, info: ValidationInfo) -> RunConfig:
        """A step gets its parameters as plain values."""
        return config if isinstance(config, RunConfig) else family.get(info.data["model"]).config.model_validate(config)

    @property
    def fitted(self) -> Self:
        """The run as training depends on it: it is the same when a gate changes."""
        return self.model_copy(update={"config": self.config.fitted()})

    @property
    def indexing(self) -> "Indexing":
        """How its products are indexed, by the source that lies here."""
        return Indexing(model=self.model, config=self.config.index, source=index_source(self.model))


class Indexing(StrictModel):
    """How the products of a delivery are indexed by a model, and the digest of the source that does it."""

    model: str
    config: IndexConfig
    source: str


class Checks(StrictModel):
    """How a delivery is validated, and the digest of the source that does it."""

    config: ValidationConfig
    source: str

    @classmethod
    def of(cls, config: ValidationConfig) -> Self:
        """Checks with the source that lies here."""
        return cls(config=config, source=validation_source())


class Search(StrictModel):
    """What a study looks for.

    Attributes:
        values: What the configuration file says, without defaults, so that a trial may choose a preset.
        tuning: The section of that name, validated.
        name: Of the study; empty: that of the same search on the same data.
    """

    values: dict[str, Any]
    tuning: TuningConfig
    name: str = ""


class Delivery(StrictModel):
    """A catalogue as it was when the run began; its content decides what is cached.

    Attributes:
        paths: Directories, or addresses in a store from which each machine brings what it lacks.
    """

    paths: tuple[str, ...]
    fingerprint: str

    def open(self) -> Catalogue:
        """The catalogue.

        Raises:
            CatalogueError: a directory or a table is gone, can no longer be read, or is another one now.
        """
        catalogue = open_catalogue(self.paths, Settings.from_environment().deliveries)
        if (now := catalogue.fingerprint()) != self.fingerprint:
            where, was = ", ".join(self.paths), self.fingerprint[:12]
            raise CatalogueError(f"{where} was {was} when the run began and is {now[:12]} now; begin again with what is there")
        return catalogue


class MaybeEvaluation(StrictModel):
    """The champion's evaluation, or none while no champion exists."""

    version: int | None = None
    evaluation: Evaluation | None = None


class MaybeBase(StrictModel):
    """The version that the model rests on, or none for a model that rests on no other."""

    version: BaseVersion | None = None

    @property
    def sentence(self) -> str:
        """For the page of what was trained; empty where it rests on none."""
        return f"Rests on {self.version.model} version {self.version.version}, of which it holds a copy." if self.version else ""


class RegisteredVersion(StrictModel):
    """Where the run's model can be found."""

    model: str
    version: int
    run_id: str
    challenger: bool
    gates: GateDecision


@dataclass(frozen=True)
class Bundle:
    """A trained model's folder, or a part of it; see `models.family`."""

    path: Path

    def files(self) -> Mapping[str, Path]:
        """Relative name to path of every file."""
        return {p.relative_to(self.path).as_posix(): p for p in sorted(self.path.rglob("*")) if p.is_file()}
