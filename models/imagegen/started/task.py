"""What the U-Net of a pipeline learns from latents and prompts: to predict what its scheduler says, weighted by min-SNR.

What stays as it is - the text encoder, and under adapters the U-Net they are in - is no part of the module, so that checkpoints
and averages hold only what is trained.

Shapes: B of a batch, C channels of the latents, h x w cells, T tokens.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from peft import LoraConfig
from torch import Tensor, nn

from models.imagegen.config import DiffusionConfig, StartConfig
from models.imagegen.started.data import ShotBatch
from models.imagegen.started.pipeline import Parts
from models.imagegen.started.words import Words, states
from models.training.batches import mix
from models.training.distributed import drawn_rows
from models.training.task import Task

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers of attention that get adapters, as in diffusers' own training of them (Hu et al. 2022 adapt attention alone)."""
GOLDEN = 0.6180339887498949
"""Of its multiples the fractions lie evenly: validation rows go through the noise levels in that order."""


class StartedTask(Task):
    """The U-Net of `parts`, which is changed in place."""

    def __init__(self, parts: Parts, start: StartConfig, diffusion: DiffusionConfig) -> None:
        super().__init__()
        parts.unet.to(memory_format=torch.channels_last)  # convolutions are faster so, on CPUs and GPUs
        self._kept: tuple[Any, Any] = (
            parts.unet,
            parts.text_encoder.requires_grad_(False),
        )  # in a tuple, torch does not see them
        self.trained = _with_adapters(parts.unet, start) if start.method == "lora" else parts.unet.requires_grad_()
        self.rate = start.lora_rate if start.method == "lora" else start.full_rate
        self.levels = DDPMScheduler.from_config(dict(parts.scheduler))
        self.snr_gamma, self.condition_dropout = diffusion.snr_gamma, diffusion.condition_dropout
        self.nothing = Words(parts).tokens([""])
        self.train(self.training)

    @property
    def unet(self) -> UNet2DConditionModel:
        """The network that predicts."""
        return self._kept[0]

    def training_loss(self, batch: ShotBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise and its level by chance, and by chance no prompt."""
        shape = batch.latents.shape[1:]
        noise = drawn_rows(len(batch), lambda rows: torch.randn((rows, *shape), generator=generator))
        levels = drawn_rows(len(batch), lambda rows: torch.randint(0, self._steps, (rows,), generator=generator))
        hidden = drawn_rows(len(batch), lambda rows: torch.rand(rows, generator=generator)) < self.condition_dropout
        nothing, hidden = self.nothing.to(batch.tokens.device), hidden.to(batch.tokens.device)
        return {"loss": self._loss(batch.latents, torch.where(hidden[:, None], nothing, batch.tokens), noise, levels)}

    def validation_loss(self, batch: ShotBatch) -> dict[str, Tensor]:
        """The same with the prompt, and with the same noise and level for a row every time."""
        rows = batch.rows.tolist()
        shape = batch.latents.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(mix(row))) for row in rows])
        levels = torch.tensor([int(GOLDEN * row % 1 * self._steps) for row in rows])
        return {"loss": self._loss(batch.latents, batch.tokens, noise, levels)}

    def compile_parts(self) -> Iterable[nn.Module]:
        """The blocks of the U-Net."""
        middle = [self.unet.mid_block] if self.unet.mid_block is not None else []
        return (*self.unet.down_blocks, *middle, *self.unet.up_blocks)

    def slow_parts(self) -> Mapping[nn.Module, float]:
        """All of it: there is nothing else."""
        return {self.trained: self.rate}

    def checkpoint_activations(self) -> None:
        """Recompute the blocks of the U-Net in the backward pass."""
        self.unet.enable_gradient_checkpointing()

    def train(self, mode: bool = True) -> "StartedTask":
        """The U-Net as well, where it is no part of the module."""
        super().train(mode)
        self.unet.train(mode)
        return self

    @property
    def _steps(self) -> int:
        return int(self.levels.config.num_train_timesteps)

    def _loss(self, latents: Tensor, tokens: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Mean over the batch; `noise` and `levels` (B) come from the CPU, so that every device draws the same."""
        noise, levels = noise.to(latents.device), levels.to(latents.device)
        for part in self._kept:
            part.to(latents.device)
        noisy = self.levels.add_noise(latents, noise, levels)
        predicted = self.unet(noisy, levels, states(self._kept[1], tokens), return_dict=False)[0]
        velocity = self.levels.config.prediction_type == "v_prediction"
        target = self.levels.get_velocity(latents, noise, levels) if velocity else noise
        errors = (predicted.float() - target.float()).square().mean(dim=(1, 2, 3))
        loss: Tensor = (self._weights(levels, velocity) * errors).mean()
        return loss

    def _weights(self, levels: Tensor, velocity: bool) -> Tensor:
        """Min-SNR weights (B) (Hang et al. 2023): min(snr, gamma) / snr for noise, / (snr + 1) for v."""
        snr = compute_snr(self.levels, levels)
        counted = snr.clamp(max=self.snr_gamma)
        return cast(Tensor, counted / (snr + 1 if velocity else snr.clamp(min=1e-8)))


def _with_adapters(unet: Any, start: StartConfig) -> nn.ParameterDict:
    """Put adapters into `unet` and give their weights, which are all of it that learns."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=start.rank, lora_alpha=start.alpha, target_modules=list(TARGETS), init_lora_weights="gaussian"))
    named = {name.replace(".", "/"): weight for name, weight in unet.named_parameters() if weight.requires_grad}
    return nn.ParameterDict(named)
