"""Where a pipeline that was started from lies in a bundle.

    pipeline/                                   as `StableDiffusionPipeline.save_pretrained` writes it, safetensors
    pipeline/pytorch_lora_weights.safetensors   the adapters alone, where it was trained by them; already in the weights
"""

from collections.abc import Sequence
from pathlib import Path

from models.imagegen.answers import Size
from models.imagegen.started.fitting import StartedTrained
from models.imagegen.started.painter import StartedPainter

PIPELINE = "pipeline"


def save(folder: Path, trained: StartedTrained) -> None:
    """Write `folder/pipeline`."""
    raise NotImplementedError


def load(folder: Path, sizes: Sequence[Size], device: str = "auto") -> StartedPainter:
    """Read `folder/pipeline` of a bundle; `device` is auto, cpu or cuda.

    Raises:
        VitrinaError: missing, damaged, or not what `save` writes.
    """
    raise NotImplementedError
