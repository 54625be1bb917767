"""Where a pipeline that was started from lies in a bundle.

pipeline/                                   as `StableDiffusionPipeline.save_pretrained` writes it, safetensors
pipeline/pytorch_lora_weights.safetensors   the adapters alone, where it was trained by them; already in the weights
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import StableDiffusionPipeline

from configs.errors import VitrinaError
from models.bundles import write_json
from models.imagegen.answers import Size
from models.imagegen.started.painter import StartedPainter
from models.imagegen.started.pipeline import INDEX, check_sizes, read

if TYPE_CHECKING:
    from models.imagegen.started.fitting import StartedTrained  # brings Lightning

PIPELINE = "pipeline"


def save(folder: Path, trained: "StartedTrained") -> None:
    """Write `folder/pipeline`, which other programs can load as well."""
    out, settings = folder / PIPELINE, dict(trained.parts.scheduler)
    trained.parts.pipeline().save_pretrained(out, safe_serialization=True)
    # As it came: diffusers writes defaults of one class as if they had been chosen, and other schedulers would take them over.
    write_json(out / "scheduler" / "scheduler_config.json", settings)
    _change(out / INDEX, scheduler=["diffusers", settings["_class_name"]])
    for path in out.glob("*/config.json"):
        _change(path, _name_or_path="")  # where it lay is nobody's business
    if trained.adapter is not None:
        StableDiffusionPipeline.save_lora_weights(out, unet_lora_layers=trained.adapter, safe_serialization=True)
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users


def _change(path: Path, **values: Any) -> None:
    write_json(path, json.loads(path.read_bytes()) | values)


def load(folder: Path, sizes: Sequence[Size], device: str = "auto") -> StartedPainter:
    """Read `folder/pipeline` of a bundle; `device` is auto, cpu or cuda.

    Raises:
        VitrinaError: missing, damaged, or not what `save` writes; or there is no such device.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise VitrinaError(f"device {device!r} is not available here; allowed: auto, cpu, cuda") from error
    parts = read(folder / PIPELINE)
    check_sizes(tuple(sizes), parts)
    return StartedPainter(parts, sizes, name)
