"""What is trained: the network and the prompt encoder, to take noise away.

Shapes: B images, C channels, h x w cells, H x W pixels, T tokens, F features.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from models.imagegen.answers import Size
from models.imagegen.config import DiffusionConfig
from models.imagegen.own.denoiser import velocity
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.text import PromptEncoder
from models.training.batches import moved
from models.training.distributed import drawn_rows
from models.training.task import Task


@dataclass(frozen=True)
class Batch:
    """Photos of one size with what is told of them."""

    pixels: Tensor  # (B, 3, H, W) float32 in [-1, 1]
    ids: Tensor  # (B, T) int64, 0 where there is no token
    features: Tensor  # (B, F) float32
    styles: Tensor  # (B,) int64

    def __len__(self) -> int:
        """Photos."""
        return len(self.pixels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return moved(self, device, non_blocking)

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.pixels.shape[3], self.pixels.shape[2]


def scheduler_of(config: DiffusionConfig) -> Any:
    """The noise levels; samplers are made from its configuration."""
    return DDPMScheduler(
        num_train_timesteps=config.steps,
        beta_schedule=config.schedule,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


class DiffusionTask(Task):
    """U-Net and prompt encoder with their loss: the squared error of v, under min-SNR weights.

    The codec and the prior are fixed, and no part of what is saved.
    """

    alphas: Tensor
    sigmas: Tensor

    def __init__(self, unet: Any, encoder: PromptEncoder, codec: nn.Module, prior: RidgePrior, config: DiffusionConfig) -> None:
        super().__init__()
        self.unet, self.encoder, self.config = unet, encoder, config
        self._fixed: dict[str, Any] = {"codec": codec, "prior": prior}  # a dict, so that torch sees no modules
        kept = scheduler_of(config).alphas_cumprod
        self.register_buffer("alphas", kept.sqrt(), persistent=False)
        self.register_buffer("sigmas", (1 - kept).sqrt(), persistent=False)

    def training_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean over the batch at random noise levels, of which each batch has low and high ones; some prompts are hidden."""
        spread = drawn_rows(len(batch), lambda rows: (torch.rand(1, generator=generator) + torch.arange(rows) / rows) % 1)
        times = (spread * self.config.steps).long()
        told = drawn_rows(len(batch), lambda rows: torch.rand(rows, generator=generator)) >= self.config.condition_dropout
        return {"loss": self._loss(batch, times, told, generator)}

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same at evenly spread levels, with all prompts and the same noise every time."""
        generator = torch.Generator().manual_seed(0)
        times = (torch.arange(len(batch)) + 0.5) / len(batch) * self.config.steps
        return {"loss": self._loss(batch, times.long(), torch.ones(len(batch), dtype=torch.bool), generator)}

    def compile_parts(self) -> Iterable[nn.Module]:
        """The network; the prompt encoder is small."""
        return (self.unet,)

    def checkpoint_activations(self) -> None:
        """Recompute the network's blocks in the backward pass."""
        self.unet.enable_gradient_checkpointing()

    def latents(self, batch: Batch) -> Tensor:
        """(B, C, h, w) of the batch's photos."""
        codec = self._fixed["codec"].to(batch.pixels.device)
        with torch.no_grad(), torch.autocast(batch.pixels.device.type, enabled=False):
            latents: Tensor = codec.encode(batch.pixels)
        return latents

    def _loss(self, batch: Batch, times: Tensor, told: Tensor, generator: torch.Generator) -> Tensor:
        device = batch.pixels.device
        latents, prior = self.latents(batch), self._fixed["prior"].to(device)
        shape = latents.shape[1:]
        noise = drawn_rows(len(batch), lambda rows: torch.randn((rows, *shape), generator=generator)).to(device)
        times, told = times.to(device), told.to(device)
        a, s = (level[times][:, None, None, None] for level in (self.alphas, self.sigmas))
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            mean = prior(batch.size, batch.features, batch.styles, told)
        seen = self.encoder(batch.ids, batch.features, batch.styles, told)
        found = velocity(self.unet, a * latents + s * noise, times, mean, a, s, seen).float()
        errors = (found - (a * noise - s * latents)).square().mean(dim=(1, 2, 3))
        return (self._weights(times) * errors).mean()

    def _weights(self, times: Tensor) -> Tensor:
        """Min-SNR weights (Hang et al. 2023) of errors of v (B,): min(snr, gamma) / (snr + 1)."""
        snr = (self.alphas[times] / self.sigmas[times]).square()
        return snr.clamp(max=self.config.snr_gamma) / (snr + 1)
