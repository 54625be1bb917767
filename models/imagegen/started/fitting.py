"""From photos to a pipeline that has learned them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import convert_state_dict_to_diffusers
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from configs.schema import TrainerConfig
from models.bundles import write_json
from models.errors import TrainingError
from models.imagegen.config import ImagegenModelConfig, StartConfig
from models.imagegen.memory import enough_memory
from models.imagegen.shots import Shot
from models.imagegen.started.data import Prompts, ShotRows, encode_shots
from models.imagegen.started.pipeline import Parts, check_sizes, fingerprint, read
from models.imagegen.started.task import StartedTask
from models.imagegen.started.words import Words
from models.imagegen.styles import looks
from models.training.trainer import FitResult, fit, training_loader, validation_loader

STARTED = "started.json"
"""File of a training folder: which pipeline the training there started from."""
LATENTS = "latents"
"""Folder of a training folder with the latents of its photos."""


@dataclass(frozen=True, eq=False)
class StartedTrained:
    """What training leaves.

    Attributes:
        parts: The pipeline, on the CPU, with the adapters fused into the U-Net's weights.
        adapter: The adapters' weights under diffusers' names; None where the whole U-Net was trained.
        result: What became of the training.
        start: SHA-256 of the files of the pipeline that it started from.
        explained: It has no prior.
    """

    parts: Parts
    adapter: dict[str, Tensor] | None
    result: FitResult
    start: str
    explained: None = None

    @property
    def networks(self) -> tuple[Any, ...]:
        """What was trained."""
        return (self.parts.unet,)


def train(
    training: Sequence[Shot],
    validation: Sequence[Shot],
    config: ImagegenModelConfig,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> StartedTrained:
    """Train from the pipeline that `config.start` names, going on from the checkpoint in `workdir` where there is one.

    The shots may be read lazily: each is asked for in order, twice. The latents of their photos are kept in `workdir`.

    Raises:
        VitrinaError: the pipeline cannot be read or does not fit, a photo cannot be decoded, memory or the disk is not enough.
        TrainingError: see `models.training.trainer.fit`; or `workdir` holds a training that started elsewhere.
    """
    start = config.start
    assert start is not None, "config.start says where to start"
    if start.method == "lora" and trainer.strategy == "fsdp":
        raise TrainingError("model.start.method lora trains too little to divide it: trainer.strategy fsdp needs method full")
    parts = read(Path(start.folder))
    check_sizes(config.sizes, parts)
    digest = _claim(workdir, start)
    torch.manual_seed(trainer.seed)
    task = StartedTask(parts, start, config.diffusion)
    encode = _encoder(parts)
    rows = [
        _rows(shots, parts, config, encode, trainer.seed, workdir / LATENTS / name)
        for name, shots in (("training", training), ("validation", validation))
    ]
    less = "lower trainer.batch_size, set trainer.gradient_checkpointing or train smaller model.sizes"
    with enough_memory("training the U-Net", less):
        result = fit(task, training_loader(rows[0], trainer), validation_loader(rows[1], trainer), trainer, workdir, loggers)
    for part in parts.networks:
        part.to("cpu").eval().requires_grad_(False)
    parts.unet.to(memory_format=torch.contiguous_format)  # as files hold them
    return StartedTrained(parts, _fused(parts) if start.method == "lora" else None, result, digest)


def _claim(workdir: Path, start: StartConfig) -> str:
    """Mark `workdir` with the digest of the pipeline, so that a checkpoint of adapters is put on no other.

    Raises:
        TrainingError: the training there started from other weights.
    """
    digest = fingerprint(Path(start.folder))
    path = workdir / STARTED
    if not path.is_file():
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(path, {"sha256": digest})
    elif json.loads(path.read_text()) != {"sha256": digest}:
        raise TrainingError(f"{workdir} holds a training that started from other weights than {start.folder} has now; delete it")
    return digest


def _encoder(parts: Parts) -> Callable[[Tensor], Tensor]:
    """Pixels to latents as the U-Net reads them: the most probable ones."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scale = float(parts.vae.config.scaling_factor)

    @torch.inference_mode()
    def encode(pixels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            latents: Tensor = parts.vae.to(device).encode(pixels.to(device)).latent_dist.mode()
        return latents.float() * scale

    return encode


def _rows(
    shots: Sequence[Shot],
    parts: Parts,
    config: ImagegenModelConfig,
    encode: Callable[[Tensor], Tensor],
    seed: int,
    folder: Path,
) -> ShotRows:
    latents = encode_shots(shots, config.sizes, encode, parts.vae.config.latent_channels, parts.factor, folder)
    return ShotRows(latents, _prompts(shots, parts), seed)


def _prompts(shots: Sequence[Shot], parts: Parts) -> Prompts:
    words, styles = Words(parts), looks()
    tokens, counts = list[Tensor](), list[int]()
    for shot in shots:
        tokens.append(words.tokens([styles[shot.style].worded(text) for text in shot.texts]).int())
        counts.append(len(shot.texts))
    return Prompts(torch.cat(tokens), np.array(counts, dtype=np.int64))


def _fused(parts: Parts) -> dict[str, Tensor]:
    """Make the adapters part of the U-Net's weights; returns them."""
    found = convert_state_dict_to_diffusers(get_peft_model_state_dict(parts.unet))
    adapter = {name: weight.detach().clone() for name, weight in found.items()}
    parts.unet.fuse_lora()
    parts.unet.unload_lora()
    return adapter
