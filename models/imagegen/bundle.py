"""The folder in which a trained generator travels; see `models.family` for its files.

pipeline/            a pipeline of diffusers, ours or the one that was started from
words.json           words of training texts, where the pipeline is ours
scorer.safetensors   what images are compared with, and scorer.json
judge.safetensors    the classifier that versions are measured by, and judge.json; none where no label could be learned
gallery.png          drawn for validation titles
base/                the whole bundle of the `product` version that reads prompts and images
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from configs.errors import VitrinaError
from configs.schema import StrictModel
from models.bundles import CONFIG as CONFIG
from models.bundles import read_config, save_seen, write_json
from models.imagegen.config import ImagegenRunConfig
from models.imagegen.judge.judge import WEIGHTS as JUDGE
from models.imagegen.scoring.scorer import Scorer
from models.inspection import Inspector

WORDS, SCORER, SCALE, GALLERY = "words.json", "scorer.safetensors", "scorer.json", "gallery.png"


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "imagegen"
    config: ImagegenRunConfig
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    training_photos: int = Field(description="products with a photo and a text that it was trained on")
    validation_photos: int = Field(description="such products by which the best weights were chosen")
    without_photo: int = Field(description="training and validation products left out: no photo that can be decoded")
    known_to_base: int = Field(description="of both, those that the base was fitted on or chosen by")
    parameters: int = Field(description="weights of the network and of what reads prompts")
    updates: int = Field(description="optimizer updates that were made")
    planned: int = Field(description="updates that the configured epochs ask for")
    validation_loss: float = Field(description="lowest one")
    explained: float | None = Field(description="share of the latents' variance that the prior explains; None without one")
    start: str | None = Field(description="SHA-256 of the pipeline that it started from; None where it was trained from nothing")


def save_config(folder: Path, settings: BundleConfig, seen: NDArray[np.uint64]) -> None:
    """Write `config.json` and `seen.npy`."""
    save_seen(folder, seen)
    write_json(folder / CONFIG, settings.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a generator's bundle.
    """
    return read_config(folder, BundleConfig, "imagegen")


def save_words(folder: Path, words: Iterable[str]) -> None:
    """Write the words that the version knows."""
    text = json.dumps(sorted(words), ensure_ascii=False, separators=(",", ":"))
    (folder / WORDS).write_text(text + "\n", encoding="utf-8")


def load_words(folder: Path) -> frozenset[str]:
    """Read them.

    Raises:
        VitrinaError: missing or damaged.
    """
    try:
        found = json.loads((folder / WORDS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VitrinaError(f"cannot read {folder / WORDS}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise VitrinaError(f"{folder / WORDS} is no list of words")
    return frozenset(found)


def save_scorer(folder: Path, scorer: Scorer) -> None:
    """Write what images are compared with."""
    arrays, told = scorer.state()
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / SCORER)
    (folder / SCORER).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    write_json(folder / SCALE, told)


def load_scorer(folder: Path, inspector: Inspector, settings: BundleConfig) -> Scorer:
    """Read it.

    Raises:
        VitrinaError: a file is missing or damaged.
    """
    try:
        arrays, told = load_file(folder / SCORER), json.loads((folder / SCALE).read_text(encoding="utf-8"))
        return Scorer.restore(arrays, told, inspector, settings.config.model.score)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise VitrinaError(f"{folder} does not hold a scorer: {str(error).splitlines()[0]}") from error


def has_judge(folder: Path) -> bool:
    """Whether versions of this catalogue can be judged."""
    return (folder / JUDGE).is_file()
