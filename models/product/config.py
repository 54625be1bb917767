"""What a product model is made of; `preset` gives the values, explicit fields override them."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from configs.schema import CorruptionConfig, Optimizer, PositiveFloat, PositiveInt, RunConfig, Share, StrictModel
from models.pretrained.plans import EncoderStart
from models.product.heads import HeadsConfig
from models.product.priors.config import PriorsConfig
from models.product.tasks import TasksConfig

Preset = Literal["tiny", "base", "large"]

PATCH = 16
"""Side of an image patch in pixels: the photo tower halves a photo four times."""

# Differences from the defaults below, which are `base`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 128,
        "layers": 1,
        "heads": 4,
        "mlp_hidden": 320,
        "vocab_size": 2048,
        "description_tokens": 24,
        "review_tokens": 48,
        "photo_widths": (16, 32, 64, 128),
        "photo_blocks": (1, 1, 1, 1),
        "prior_bits": 14,
    },
    "base": {},
    "large": {
        "width": 1024,
        "layers": 16,
        "heads": 16,
        "readout_layers": 4,
        "mlp_hidden": 2752,
        "vocab_size": 32768,
        "title_tokens": 48,
        "description_tokens": 256,
        "review_tokens": 384,
        "max_attributes": 32,
        "image_height": 256,
        "image_width": 192,
        "photo_widths": (128, 256, 512, 1024),
        "photo_blocks": (3, 4, 12, 3),
    },
}


class ModalityDropout(StrictModel):
    """Probability that training hides a part of the listing, so that any subset of parts works."""

    title: Share = Field(0.1, description="hidden per listing")
    description: Share = Field(0.3, description="hidden for a whole batch, which also shortens the sequence")
    image: Share = Field(0.2, description="hidden per listing")
    attributes: Share = Field(0.3, description="hidden per listing, all fields and attributes at once")
    price: Share = Field(0.3, description="hidden per listing from the category heads")
    categories: Share = Field(0.5, description="hidden per listing and level from the price head")


class LossConfig(StrictModel):
    """How the terms of the training loss are balanced; each head has the weights of its own terms (`models.product.heads`)."""

    strategy: Literal["fixed", "uncertainty", "dwa"] = Field("fixed", description="balancing of terms: see `training.balancing`")
    single_view: float = Field(
        1.5, ge=0.0, description="factor on the head losses of each part alone, of which the mean is taken"
    )
    whole_view: float = Field(
        0.5, ge=0.0, description="factor on the head losses of the whole listing, and of the listing with parts hidden"
    )


class PhotoLessons(StrictModel):
    """What the photo tower learns by itself before the whole model trains (`models.product.photos`)."""

    epochs: float = Field(0.0, ge=0.0, description="passes over the photos, for each of `trainer.epochs`; 0: no such lessons")
    low_res_share: Share = Field(0.5, description="the first share of these passes sees photos at three quarters of the size")
    time: float = Field(
        0.45, gt=0.0, lt=1.0, description="share of what is left of `trainer.max_minutes` that these passes may take"
    )
    optimizer: Optimizer = Field("adamw", description="as `trainer.optimizer`, in these passes")
    learning_rate: PositiveFloat | None = Field(None, description="peak of the schedule in these passes; none: the trainer's")
    rate_afterwards: Share = Field(
        0.0,
        description="factor on the tower's learning rate while the whole model trains; 0 freezes it and its head",
    )


class ProductModelConfig(StrictModel):
    """Sizes and losses of the product transformer."""

    preset: Preset = Field("base", description="tiny: demo and tests; base: a laptop's CPU; large: a large GPU")
    width: PositiveInt = Field(192, description="channels of the residual stream")
    layers: PositiveInt = Field(2, description="transformer blocks of the text tower")
    heads: PositiveInt = Field(4, description="attention heads; width / heads must be a multiple of 4 (two RoPE axes)")
    readout_layers: PositiveInt = Field(2, description="cross-attention layers between a head's query and the towers")
    mlp_hidden: PositiveInt = Field(512, description="hidden channels of each SwiGLU")
    vocab_size: int = Field(8192, ge=300, description="byte-pair tokens")
    title_tokens: PositiveInt = Field(16, description="tokens of the title that are read")
    description_tokens: PositiveInt = Field(40, description="tokens of the description that are read")
    max_attributes: PositiveInt = Field(12, description="descriptive fields and attributes that are read")
    attribute_min_count: PositiveInt = Field(3, description="rarer attribute names and values become the unknown one")
    image_height: PositiveInt = Field(80, description="pixels; a multiple of 16")
    image_width: PositiveInt = Field(64, description="pixels; a multiple of 16")
    review_tokens: PositiveInt = Field(80, description="tokens of a review that are read")
    ending_tokens: PositiveInt = Field(8, description="how many of a description's or review's tokens are its last")
    photo_widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (32, 96, 192, 384), description="channels of the photo tower's four stages, at 1/2, 1/4, 1/8 and 1/16 of the size"
    )
    photo_blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (1, 1, 2, 1), description="residual blocks of each stage"
    )
    dropout: Share = Field(0.1, description="dropped channels of every residual branch of the readouts")
    prior_bits: int = Field(17, ge=8, le=22, description="log2 of the hashed features of each block of the linear priors")
    neighbour_rows: PositiveInt = Field(
        50_000, description="training rows, at most, among which a listing's neighbours are found"
    )
    priors: PriorsConfig = PriorsConfig()
    fourier_features: PositiveInt = Field(16, description="frequencies that encode the standardised log price")
    embedding_dim: int = Field(
        1024,
        ge=16,
        description="dimensions of the L2-normalised embedding; a quarter tell the type, a quarter match titles",
    )
    label_smoothing: Share = Field(0.05, description="probability mass spread over all categories")
    modality_dropout: ModalityDropout = ModalityDropout()
    loss: LossConfig = LossConfig()
    head: HeadsConfig = HeadsConfig()
    text_encoder: EncoderStart | None = Field(
        None, description="pretrained text encoder, with its tokenizer, in place of the text tower"
    )
    image_encoder: EncoderStart | None = Field(None, description="pretrained vision encoder in place of the photo tower")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        if isinstance(values, dict):
            preset = values.get("preset", "base")
            return {**(PRESETS.get(preset, {}) if isinstance(preset, str) else {}), **values}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 4:
            raise ValueError(f"width {self.width} / heads {self.heads} must be a whole multiple of 4")
        if self.ending_tokens >= min(self.description_tokens, self.review_tokens):
            raise ValueError(f"ending_tokens {self.ending_tokens} must be below description_tokens and review_tokens")
        for name in ("image_height", "image_width"):
            if getattr(self, name) % PATCH:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of {PATCH}, the side of an image patch")
        return self

    @property
    def endings(self) -> int:
        """How many of a long text's last tokens are read apart; a pretrained encoder gets texts as it knows them."""
        return 0 if self.text_encoder else self.ending_tokens

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of image patches."""
        return self.image_height // PATCH, self.image_width // PATCH


class ProductRunConfig(RunConfig):
    """Everything a product training run depends on."""

    model: ProductModelConfig = ProductModelConfig()
    corruption: CorruptionConfig = CorruptionConfig()
    tasks: TasksConfig = TasksConfig()
    photo_lessons: PhotoLessons = PhotoLessons()
    cpu_runtime: Literal["pytorch", "onnx", "int8"] = Field(
        "pytorch",
        description="what computes answers where there is no GPU: PyTorch, ONNX graphs in the bundle, or such with int8 weights",
    )
    reviews_per_listing: float = Field(0.2, ge=0.0, description="most reviews a batch holds for each of its listings")
