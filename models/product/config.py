"""What a product model is made of; `preset` gives the values, explicit fields override them."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from configs.schema import PositiveInt, RunConfig, Share, StrictModel

Preset = Literal["tiny", "base", "ultra"]

# Differences from the defaults below, which are `base`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 128,
        "layers": 2,
        "heads": 4,
        "mlp_hidden": 320,
        "vocab_size": 2048,
        "description_tokens": 24,
        "stem_width": 24,
    },
    "base": {},
    "ultra": {
        "width": 1024,
        "layers": 16,
        "heads": 16,
        "readout_layers": 2,
        "mlp_hidden": 2752,
        "vocab_size": 32768,
        "title_tokens": 48,
        "description_tokens": 256,
        "max_attributes": 32,
        "image_height": 256,
        "image_width": 192,
        "stem_width": 128,
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


class LossWeights(StrictModel):
    """Weight of each term in the training loss."""

    article_type: float = Field(1.0, ge=0.0, description="negative log likelihood of the article type")
    sub_category: float = Field(0.2, ge=0.0, description="negative log likelihood of the sub-category")
    master_category: float = Field(0.2, ge=0.0, description="negative log likelihood of the master category")
    price: float = Field(0.5, ge=0.0, description="Laplace negative log likelihood of the standardised log price")
    contrastive: float = Field(0.5, ge=0.0, description="symmetric InfoNCE between title, photo and whole listing")
    single_view: float = Field(0.3, ge=0.0, description="factor on the head losses of the title-only and the photo-only view")


class ProductModelConfig(StrictModel):
    """Sizes and losses of the product transformer."""

    preset: Preset = Field("base", description="tiny: demo and tests; base: a laptop's CPU; ultra: a large GPU")
    width: PositiveInt = Field(256, description="channels of the residual stream")
    layers: PositiveInt = Field(3, description="transformer blocks of the trunk")
    heads: PositiveInt = Field(4, description="attention heads; width / heads must be a multiple of 4 (two RoPE axes)")
    readout_layers: PositiveInt = Field(1, description="cross-attention layers between a head's query and the trunk")
    mlp_hidden: PositiveInt = Field(704, description="hidden channels of each SwiGLU")
    vocab_size: int = Field(8192, ge=300, description="byte-pair tokens")
    title_tokens: PositiveInt = Field(16, description="tokens of the title that are read")
    description_tokens: PositiveInt = Field(32, description="tokens of the description that are read")
    max_attributes: PositiveInt = Field(12, description="descriptive fields and attributes that are read")
    attribute_min_count: PositiveInt = Field(3, description="rarer attribute names and values become the unknown one")
    image_height: PositiveInt = Field(80, description="pixels; a multiple of 16")
    image_width: PositiveInt = Field(64, description="pixels; a multiple of 16")
    stem_width: PositiveInt = Field(48, description="channels of the first convolution; the second has twice as many")
    fourier_features: PositiveInt = Field(16, description="frequencies that encode the standardised log price")
    embedding_dim: PositiveInt = Field(1024, description="dimensions of the L2-normalised embedding")
    label_smoothing: Share = Field(0.05, description="probability mass spread over all categories")
    modality_dropout: ModalityDropout = ModalityDropout()
    loss: LossWeights = LossWeights()

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
        for name in ("image_height", "image_width"):
            if getattr(self, name) % 16:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of 16, the side of an image patch")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of image patches."""
        return self.image_height // 16, self.image_width // 16


class ProductRunConfig(RunConfig):
    """Everything a product training run depends on."""

    model: ProductModelConfig = ProductModelConfig()
