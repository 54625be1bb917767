"""From photos to a pipeline that has learned them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from configs.schema import TrainerConfig
from models.imagegen.config import ImagegenModelConfig
from models.imagegen.shots import Shot
from models.imagegen.started.pipeline import Parts
from models.training.trainer import FitResult


@dataclass(frozen=True, eq=False)
class StartedTrained:
    """What training leaves.

    Attributes:
        parts: The pipeline, on the CPU, with the adapters fused into the U-Net's weights.
        adapter: The adapters' weights under diffusers' names; None where the whole U-Net was trained.
        result: What became of the training.
        start: SHA-256 of the pipeline's files that it started from.
    """

    parts: Parts
    adapter: dict[str, Tensor] | None
    result: FitResult
    start: str


def train(
    training: Sequence[Shot],
    validation: Sequence[Shot],
    config: ImagegenModelConfig,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> StartedTrained:
    """Train from the pipeline that `config.start` names, going on from the checkpoint in `workdir` where there is one.

    The shots may be read lazily: each is asked for once, in order, and never again when its latents lie in `workdir`.

    Raises:
        VitrinaError: the pipeline cannot be read or does not fit, a photo cannot be decoded, memory or the disk is not enough.
        TrainingError: see `models.training.trainer.fit`.
    """
    raise NotImplementedError
