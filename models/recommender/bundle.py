"""The folder in which a trained recommender travels; see `models.family` for its files.

`model.safetensors` holds every part's arrays as `part.name`, those of the items and of the users' histories among them;
`items.json` and `users.json` what they are called.
"""

import json
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
from models.recommender import part
from models.recommender.config import RecommenderRunConfig
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.model import Recommender
from models.recommender.part import Part

ITEMS, USERS = "items.json", "users.json"


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "recommender"
    config: RecommenderRunConfig
    weights: dict[str, float] = Field(description="how much each part counts, by name")
    ordered: bool = Field(description="whether the order of purchases is known")
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    users: int
    items: int
    training_purchases: int
    validation_purchases: int


def save(
    folder: Path,
    recommender: Recommender,
    users: list[Any],
    histories: Histories,
    settings: BundleConfig,
    seen: NDArray[np.uint64],
) -> None:
    """Write everything; `histories` are what is known of `users` when the version begins to answer."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, described = recommender.items.state()
    stored = {f"items.{name}": value for name, value in arrays.items()}
    stored |= {f"histories.{name}": value for name, value in vars(histories).items()}
    stored["features"] = recommender.features
    for part_name, fitted in recommender.parts.items():
        stored |= {f"part.{part_name}.{name}": value for name, value in fitted.state().items()}
    save_file({name: np.ascontiguousarray(value) for name, value in stored.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    for name, value in ((ITEMS, described), (USERS, {"keys": users})):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    save_seen(folder, seen)
    write_json(folder / CONFIG, settings.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a recommender bundle.
    """
    return read_config(folder, BundleConfig, "recommender")


def load(folder: Path, settings: BundleConfig) -> tuple[Recommender, list[Any], Histories]:
    """The recommender, the users it knows, and their histories.

    Raises:
        VitrinaError: a file is missing or damaged, or a part is not known here.
    """
    try:
        arrays = load_file(folder / WEIGHTS)
        described = json.loads((folder / ITEMS).read_text(encoding="utf-8"))
        users = json.loads((folder / USERS).read_text(encoding="utf-8"))["keys"]
        items = Items.restore(below("items.", arrays), described)
        parts = {name: _part(name, arrays, items, settings) for name in settings.weights}
        histories = Histories(**below("histories.", arrays))
        features = arrays["features"]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise VitrinaError(f"{folder} does not hold this model's arrays: {str(error).splitlines()[0]}") from error
    longest = settings.config.model.history.longest
    return Recommender(items, parts, settings.weights, features, longest), users, histories


def _part(name: str, arrays: State, items: Items, settings: BundleConfig) -> Part[Any]:
    return part.get(name).restore(below(f"part.{name}.", arrays), settings.config.model.of(name), items)
