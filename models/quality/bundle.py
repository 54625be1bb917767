"""The folder in which a trained quality model travels; see `models.family` for its files.

`model.safetensors` holds the arrays of the catalogue's memory as `memory.name`, those of the axes as `learned.name`, and as
`unseen.KIND.name` the axes as they are when they were never shown a kind of fault. `memory.json` is what else the memory knows;
`base/` is the whole bundle of the `product` version that reads the listings.
"""

import json
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
from configs.schema import Share, StrictModel
from models.arrays import State, below
from models.bundles import CONFIG, WEIGHTS, read_config, save_seen, write_json
from models.quality.config import QualityModelConfig, QualityRunConfig
from models.quality.learned import Learned
from models.quality.memory.memory import Memory, load_json

MEMORY = "memory.json"


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "quality"
    config: QualityRunConfig
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    threshold: Share = Field(description="score from which a listing is published")
    remembered: int = Field(description="products that its norms, guesses and duplicates are made of")
    fitted: int = Field(description="listings that the axes were learned from, with every fault that each can carry")
    chosen: int = Field(description="further listings, by whose scores the threshold was set")
    known_to_base: int = Field(description="of both, those that the base was fitted on or chosen by")
    not_learned: dict[str, str] = Field(description="axis: why it cannot be scored")


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Attributes:
        memory: What is known of the catalogue.
        learned: The axes.
        unseen: Kind of fault to the axes that were never shown it; only kinds whose axis can be learned from others.
        threshold: Score from which a listing is published.
    """

    memory: Memory
    learned: Learned
    unseen: Mapping[str, Learned]
    threshold: float


def save(folder: Path, fitted: Fitted, settings: BundleConfig, seen: NDArray[np.uint64]) -> None:
    """Write everything but the base."""
    arrays, told = fitted.memory.state()
    stored: State = {f"memory.{name}": value for name, value in arrays.items()}
    stored |= {f"learned.{name}": value for name, value in fitted.learned.state().items()}
    for kind, learned in fitted.unseen.items():
        stored |= {f"unseen.{kind}.{name}": value for name, value in learned.state().items()}
    save_file({name: np.ascontiguousarray(value) for name, value in stored.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    (folder / MEMORY).write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    save_seen(folder, seen)
    write_json(folder / CONFIG, settings.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a quality bundle.
    """
    return read_config(folder, BundleConfig, "quality")


def load(folder: Path, settings: BundleConfig) -> Fitted:
    """What training left.

    Raises:
        VitrinaError: a file is missing or damaged.
    """
    config: QualityModelConfig = settings.config.model
    try:
        arrays = load_file(folder / WEIGHTS)
        told: dict[str, Any] = load_json((folder / MEMORY).read_text(encoding="utf-8"), folder / MEMORY)
        memory = Memory.restore(below("memory.", arrays), told, config.memory)
        learned = Learned.restore(below("learned.", arrays))
        unseen = {kind: Learned.restore(below(f"unseen.{kind}.", arrays)) for kind in _kinds(arrays)}
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise VitrinaError(f"{folder} does not hold this model's memory and axes: {str(error).splitlines()[0]}") from error
    return Fitted(memory, learned, unseen, settings.threshold)


def _kinds(arrays: State) -> list[str]:
    return sorted({name.split(".")[1] for name in arrays if name.startswith("unseen.")})
