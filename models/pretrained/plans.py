"""Which pretrained encoders a model starts from, and how they are built again: configuration without torch."""

from typing import Any, Literal

from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt, Share, StrictModel

ALL_LINEAR = "all-linear"


class EncoderStart(StrictModel):
    """Which pretrained encoder a model starts from, and how much of it is trained."""

    init_from: str = Field(
        min_length=1, description="folder, or id on the Hugging Face hub, of a transformers model in safetensors"
    )
    mode: Literal["frozen", "lora", "full"] = Field(
        "full", description="frozen: nothing of it trains; lora: low-rank adapters do (Hu et al. 2022); full: everything does"
    )
    lora_rank: PositiveInt = Field(8, description="rank of each adapter")
    lora_alpha: PositiveInt = Field(16, description="an adapter's output is multiplied by lora_alpha / lora_rank")
    lora_dropout: Share = Field(0.0, description="probability that an input channel of an adapter is dropped in training")
    lora_targets: str | tuple[str, ...] = Field(
        ALL_LINEAR, description="layers that get adapters: all-linear, a regular expression, or ends of their names"
    )


class TextPlan(StrictModel):
    """How a pretrained text encoder is built again."""

    start: EncoderStart
    architecture: dict[str, Any] = Field(description="the transformers configuration")
    pad_id: int = Field(ge=0, description="its own id of padding; ids are shifted by one where that is not 0")


class ImagePlan(StrictModel):
    """How a pretrained vision encoder is built again."""

    start: EncoderStart
    architecture: dict[str, Any] = Field(description="the transformers configuration")
    height: PositiveInt = Field(description="pixels it reads; photos are resized to them")
    width: PositiveInt = Field(description="pixels it reads; photos are resized to them")
    mean: tuple[float, float, float] = Field(description="subtracted from each channel of pixels 0 to 255")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(description="each channel is divided by it afterwards")
