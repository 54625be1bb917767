"""The folder in which a trained product model travels; see `models.family` for its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from configs.errors import VitrinaError
from configs.schema import PositiveFloat, Share, StrictModel
from models.product.config import ProductRunConfig
from models.product.encoders import Encoders
from models.product.model import ProductModel, Sizes

WEIGHTS, CONFIG, SEEN = "model.safetensors", "config.json", "seen.npy"


class Calibration(StrictModel):
    """What is fitted on validation rows after training."""

    temperature: PositiveFloat = Field(1.0, description="divides the path logits (Guo et al. 2017)")
    type_share: Share = Field(0.5, description="share of a cosine between embeddings that compares article types")
    price_quantile: PositiveFloat = Field(
        1.0, description="half width of the 90 % interval in predicted scales (split conformal, Lei et al. 2018)"
    )


class Baselines(StrictModel):
    """What a model without inputs would answer, from training rows."""

    article_type: str = Field(description="the most frequent one")
    price: float | None = Field(description="the median, None where no row has a price")


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "product"
    config: ProductRunConfig
    calibration: Calibration
    baselines: Baselines
    price_edges: tuple[float, ...] = Field(description="limits between the price bands of reports")
    head_brands: tuple[str, ...] = Field(description="brands that hold half of the training rows")
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    training_rows: int
    augmented_rows: int
    validation_rows: int
    training_reviews: int


def build(encoders: Encoders, config: ProductRunConfig) -> ProductModel:
    """A model of the right sizes with fresh weights."""
    sizes = Sizes(
        tokens=len(encoders.tokenizer),
        names=len(encoders.names),
        values=len(encoders.values),
        levels=tuple(len(level) for level in encoders.levels),
    )
    return ProductModel(config.model, sizes, torch.from_numpy(encoders.paths))


def save(folder: Path, model: ProductModel, encoders: Encoders, config: BundleConfig, seen: NDArray[np.uint64]) -> None:
    """Write weights, encoders, configuration and the keys of the rows that were used."""
    folder.mkdir(parents=True, exist_ok=True)
    encoders.save(folder)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    np.save(folder / SEEN, np.sort(seen), allow_pickle=False)
    write_json(folder / CONFIG, config.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a product bundle.
    """
    try:
        return BundleConfig.model_validate_json((folder / CONFIG).read_bytes())
    except OSError as error:
        raise VitrinaError(f"cannot read {folder / CONFIG}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "(whole file)"
        raise VitrinaError(f"{folder / CONFIG}: {where}: {first['msg']}; it is not a product bundle of this version") from error


def load_model(folder: Path, encoders: Encoders, config: ProductRunConfig) -> ProductModel:
    """The trained model, on the CPU and in evaluation mode.

    Raises:
        VitrinaError: weights are missing, damaged or of another shape.
    """
    model = build(encoders, config)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VitrinaError(f"{folder / WEIGHTS} does not hold this model's weights: {str(error).splitlines()[0]}") from error
    return model.eval()


def load_seen(folder: Path) -> NDArray[np.uint64]:
    """Sorted keys of training and validation rows.

    Raises:
        VitrinaError: missing or damaged.
    """
    try:
        keys: NDArray[np.uint64] = np.load(folder / SEEN, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise VitrinaError(f"cannot read {folder / SEEN}: {error}") from error
    return keys


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)
