"""The folder in which a trained few-shot model travels; see `models.family` for its files.

`model.safetensors` holds every learner's arrays as `learner.name`, and those of what is none of the classes; `base/` is the whole
bundle of the `product` version whose features it rests on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from configs.errors import VitrinaError
from configs.schema import StrictModel
from models.arrays import State, below
from models.bundles import CONFIG, WEIGHTS, read_config, save_seen, write_json
from models.fewshot import learner
from models.fewshot.config import DEFAULT, FewshotRunConfig
from models.fewshot.learner import Learner
from models.fewshot.learners.shrunk_prototypes import ShrunkPrototypes
from models.fewshot.unknown import Unknown


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "fewshot"
    config: FewshotRunConfig
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    types: dict[str, str] = Field(description="article type: train, validation, test or novel")
    products: dict[str, int] = Field(description="products of each of these parts")
    chosen: dict[int, str] = Field(description="shots: the learner that did best on meta-validation; it answers by default")
    learned_by_base: tuple[str, ...] = Field(
        description="types outside of meta-train that the base was trained on: figures measured on them flatter"
    )

    def learner_for(self, shots: float) -> str:
        """The learner that answers by default for so many examples a class: that of the nearest number measured."""
        return self.chosen[min(self.chosen, key=lambda measured: abs(np.log(measured) - np.log(max(shots, 1.0))))]


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Attributes:
        learners: By name.
        unknown: What tells strangers.
        wordless: The default learner for tasks and listings without texts, whose features lie otherwise.
        wordless_unknown: What tells strangers among those.
    """

    learners: Mapping[str, Learner[Any]]
    unknown: Unknown
    wordless: ShrunkPrototypes
    wordless_unknown: Unknown

    @property
    def prototypes(self) -> ShrunkPrototypes:
        """The default learner."""
        found = self.learners[DEFAULT]
        assert isinstance(found, ShrunkPrototypes)
        return found


def save(folder: Path, fitted: Fitted, settings: BundleConfig, seen: NDArray[np.uint64]) -> None:
    """Write everything but the base."""
    parts: dict[str, Any] = {"unknown": fitted.unknown, "wordless": fitted.wordless, "wordless_unknown": fitted.wordless_unknown}
    parts |= {f"learner.{name}": held for name, held in fitted.learners.items()}
    stored: State = {f"{part}.{name}": value for part, held in parts.items() for name, value in held.state().items()}
    save_file({name: np.ascontiguousarray(value) for name, value in stored.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    save_seen(folder, seen)
    write_json(folder / CONFIG, settings.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a few-shot bundle.
    """
    return read_config(folder, BundleConfig, "fewshot")


def load(folder: Path, settings: BundleConfig) -> Fitted:
    """The learners, and what tells strangers.

    Raises:
        VitrinaError: a file is missing or damaged, or a learner is not known here.
    """
    model = settings.config.model
    try:
        arrays = load_file(folder / WEIGHTS)
        learners = {name: learner.get(name).restore(below(f"learner.{name}.", arrays), model.of(name)) for name in model.learners}
        unknown, wordless_unknown = (Unknown.restore(below(f"{name}.", arrays)) for name in ("unknown", "wordless_unknown"))
        wordless = ShrunkPrototypes.restore(below("wordless.", arrays), model.of(DEFAULT))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise VitrinaError(f"{folder} does not hold this model's arrays: {str(error).splitlines()[0]}") from error
    return Fitted(learners, unknown, wordless, wordless_unknown)
