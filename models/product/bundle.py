"""The folder in which a trained product model travels; see `models.family` for its files."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from configs.errors import VitrinaError
from configs.schema import StrictModel
from models.bundles import CONFIG, WEIGHTS, read_config, save_seen, write_json
from models.pretrained.encoders import plan_image, plan_text
from models.pretrained.plans import ImagePlan, TextPlan
from models.product.config import ProductModelConfig, ProductRunConfig
from models.product.encoders import Encoders
from models.product.graphs import OnnxModel
from models.product.inputs import Inputs, Reviews, Sizes
from models.product.model import ProductModel
from models.product.tasks import Lacks

GRAPHS = "graphs"
"""Folder of the bundle with the graphs of `models.product.export`, where `cpu_runtime` asks for them."""


class Network(Protocol):
    """A trained network: `ProductModel`, or its exported graphs."""

    def __call__(self, inputs: Inputs) -> dict[str, Tensor]:
        """Every head's answers for a batch."""
        ...

    def embed(self, inputs: Inputs) -> Tensor:
        """The embedding (B, E) of each listing."""
        ...

    def forward_reviews(self, reviews: Reviews) -> dict[str, Tensor]:
        """Answers of every head that reads reviews."""
        ...


class Updates(StrictModel):
    """How far a training came; where a limit of wall time or a stopping rule ended it, `made` is below `planned`."""

    made: int
    planned: int


class Baselines(StrictModel):
    """What a model without inputs would answer, from training rows."""

    article_type: str | None = Field(description="the most frequent one, None where article types are no task")
    price: float | None = Field(description="the median, None where no row has a price")


class BundleConfig(StrictModel):
    """`config.json`."""

    model: str = "product"
    config: ProductRunConfig
    baselines: Baselines
    price_edges: tuple[float, ...] = Field(description="limits between the price bands of reports")
    head_brands: tuple[str, ...] = Field(description="brands that hold half of the training rows")
    data: str = Field(description="fingerprint of the catalogue it was trained on")
    training_rows: int
    augmented_rows: int
    validation_rows: int
    training_reviews: int
    text_plan: TextPlan | None = Field(None, description="how its pretrained text encoder is built, where it has one")
    image_plan: ImagePlan | None = Field(None, description="how its pretrained vision encoder is built, where it has one")
    updates: Updates = Field(description="of the whole model")
    photo_updates: Updates | None = Field(description="of the photo tower by itself, where it had lessons")
    lacks: Lacks = Field(
        default_factory=Lacks, description="tasks that it has not and parts it does not read, decided from its training rows"
    )
    threads: int = Field(description="of the CPU that trained it: sums in another order give other weights")

    @property
    def photo_lessons(self) -> bool:
        """Whether its photo tower learnt by itself first."""
        return self.photo_updates is not None


def plans(config: ProductModelConfig) -> tuple[TextPlan | None, ImagePlan | None]:
    """How the pretrained encoders that the configuration names are built.

    Raises:
        VitrinaError: see `models.pretrained.encoders`.
    """
    longest = max(config.title_tokens, config.description_tokens, config.review_tokens)
    return (
        plan_text(config.text_encoder, longest) if config.text_encoder else None,
        plan_image(config.image_encoder) if config.image_encoder else None,
    )


def build(
    encoders: Encoders,
    config: ProductModelConfig,
    text_plan: TextPlan | None = None,
    image_plan: ImagePlan | None = None,
    photo_lessons: bool = False,
) -> ProductModel:
    """A model of the right sizes with fresh weights; arguments as `ProductModel`'s."""
    sizes = Sizes(
        tokens=len(encoders.tokenizer),
        names=len(encoders.names),
        values=len(encoders.values),
        levels=tuple(len(level) for level in encoders.levels),
    )
    return ProductModel(config, sizes, torch.from_numpy(encoders.paths), text_plan, image_plan, photo_lessons)


def save(folder: Path, model: ProductModel, encoders: Encoders, config: BundleConfig, seen: NDArray[np.uint64]) -> None:
    """Write weights, encoders, configuration and the keys of the rows that were used."""
    folder.mkdir(parents=True, exist_ok=True)
    encoders.save(folder)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
    save_seen(folder, seen)
    write_json(folder / CONFIG, config.model_dump(mode="json"))


def load_config(folder: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        VitrinaError: missing, or not the configuration of a product bundle.
    """
    return read_config(folder, BundleConfig, "product")


def load_network(folder: Path, encoders: Encoders, settings: BundleConfig, device: str) -> Network:
    """What computes the answers of the bundle on a device.

    Raises:
        VitrinaError: weights or graphs are missing or damaged.
    """
    if device == "cpu" and settings.config.cpu_runtime != "pytorch":
        return OnnxModel(folder / GRAPHS)
    return load_model(folder, encoders, settings).to(device)


def load_model(folder: Path, encoders: Encoders, settings: BundleConfig) -> ProductModel:
    """The trained and calibrated model, on the CPU and in evaluation mode.

    Raises:
        VitrinaError: weights are missing, damaged or of another shape.
    """
    model = build(encoders, settings.config.model, settings.text_plan, settings.image_plan, settings.photo_lessons)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VitrinaError(f"{folder / WEIGHTS} does not hold this model's weights: {str(error).splitlines()[0]}") from error
    return model.eval()
