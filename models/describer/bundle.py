"""The folder in which a trained describer travels; see `models.family` for its files.

`model.safetensors` holds the transformer, `lexicon.json` which words state values, `frames.json` behind which words they are
copied, `tokenizer.json` how texts are spelled.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from configs.errors import VitrinaError
from configs.schema import StrictModel
from models.bundles import CONFIG, WEIGHTS, read_config, save_seen, write_json
from models.describer.config import DescriberRunConfig
from models.describer.facts.lexicon import Lexicon
from models.describer.frames import Frames
from models.describer.model import Architecture, build
from models.describer.tokens import WriterTokenizer

LEXICON, FRAMES = "lexicon.json", "frames.json"

Kept = TypeVar("Kept")


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "describer"
    config: DescriberRunConfig
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    architecture: Architecture = Field(description="the transformers configuration")
    slots: tuple[str, ...] = Field(description="names of facts that have a slot of their own, then the shared ones")
    usual: dict[str, tuple[str, ...]] = Field(description="article type: what its listings usually give, the most frequent first")
    training_rows: int = Field(description="training products")
    validation_rows: int = Field(description="products that it was chosen by")
    training_texts: int = Field(description="training products with texts to learn from, after cleaning")
    parameters: int = Field(description="weights of the transformer")
    updates: int = Field(description="optimizer updates that were made")
    planned: int = Field(description="those that the configured epochs ask for")
    tokens: int = Field(description="tokens of briefs and texts that were read in training")
    tokens_per_second: float = Field(description="of wall time")
    validation_loss: float = Field(description="nats a token of the validation texts, of the weights kept")
    threads: int = Field(description="of the CPU that trained it: sums in another order give other weights")


@dataclass(frozen=True)
class Trained:
    """What training leaves."""

    model: Any
    tokenizer: WriterTokenizer
    lexicon: Lexicon
    frames: Frames
    settings: BundleConfig


def save(folder: Path, trained: Trained, seen: NDArray[np.uint64]) -> None:
    """Write weights, tokenizer, lexicon, configuration and the keys of the rows that were used."""
    kept = {name: value for name, value in trained.model.state_dict().items() if name not in _repeated(trained.model)}
    save_file({name: value.contiguous() for name, value in kept.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    trained.tokenizer.save(folder)
    write_json(folder / LEXICON, trained.lexicon.state())
    write_json(folder / FRAMES, trained.frames.state())
    save_seen(folder, seen)
    write_json(folder / CONFIG, trained.settings.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a describer's bundle.
    """
    return read_config(folder, BundleConfig, "describer")


def load_lexicon(folder: Path) -> Lexicon:
    """Read `lexicon.json`.

    Raises:
        VitrinaError: missing or damaged.
    """
    return _read(folder / LEXICON, Lexicon.restore)


def load_frames(folder: Path) -> Frames:
    """Read `frames.json`.

    Raises:
        VitrinaError: missing or damaged.
    """
    return _read(folder / FRAMES, Frames.restore)


def _read(path: Path, restore: Callable[[Any], Kept]) -> Kept:
    try:
        return restore(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise VitrinaError(f"cannot read {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VitrinaError(f"{path} is damaged: {type(error).__name__} {error}") from error


def load_model(folder: Path, settings: BundleConfig, tokens: int) -> Any:
    """The trained transformer, on the CPU and in evaluation mode.

    Raises:
        VitrinaError: weights are missing, damaged or of another shape.
    """
    model = build(settings.architecture, tokens)
    try:
        told = model.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VitrinaError(f"{folder / WEIGHTS} does not hold this model's weights: {str(error).splitlines()[0]}") from error
    if lacking := sorted(set(told.missing_keys) - _repeated(model)) + sorted(told.unexpected_keys):
        raise VitrinaError(f"{folder / WEIGHTS} does not hold this model's weights: {lacking[0]}")
    return model.eval()


def _repeated(model: Any) -> set[str]:
    """Names of weights that are another's as well, such as tied embeddings: they are stored once."""
    first: dict[int, str] = {}
    for name, value in model.state_dict().items():
        first.setdefault(value.data_ptr(), name)
    return set(model.state_dict()) - set(first.values())
