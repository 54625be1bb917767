"""Our own pipeline of diffusers: network, prompt encoder, codec, prior and noise levels; saved by `save_pretrained`.

Shapes: B images, C channels, h x w cells, H x W pixels, T tokens, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor

from configs.errors import VitrinaError
from models.imagegen.answers import Sampler, Size
from models.imagegen.codec import CODECS
from models.imagegen.own.denoiser import velocity
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.text import PromptEncoder
from models.imagegen.reading import without_bars

SCHEDULERS: dict[Sampler, Any] = {"ddim": DDIMScheduler, "dpm-solver++": DPMSolverMultistepScheduler}
"""DDIM (Song et al. 2021), and DPM-Solver++ of second order (Lu et al. 2022)."""

RESCALED = 0.7
"""How far guided noise is brought back to the size of what is not guided (Lin et al. 2024, who chose it)."""


@dataclass(frozen=True)
class Told:
    """Prompts as the prompt encoder reads them."""

    ids: Tensor  # (B, T) int64, 0 where there is no token
    features: Tensor  # (B, F)
    styles: Tensor  # (B,) int64
    told: Tensor  # (B,) bool, False where prompt and style are hidden


class ProductImagePipeline(DiffusionPipeline):  # type: ignore[misc]
    """From prompts to pixels."""

    def __init__(self, unet: Any, encoder: PromptEncoder, codec: Any, prior: RidgePrior, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, encoder=encoder, codec=codec, prior=prior, scheduler=scheduler)

    @torch.inference_mode()
    def __call__(
        self,
        wanted: Told,
        unwanted: Told,
        size: Size,
        steps: int,
        guidance: float,
        sampler: Sampler,
        seeds: Sequence[int],
        watch: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of prompts, led away from what is unwanted.

        Guidance is classifier-free (Ho & Salimans 2022). Each image's noise hangs on its seed alone. `watch` is told the steps
        done, and of how many, after each; what it raises ends the drawing.
        """
        scheduler = SCHEDULERS[sampler].from_config(self.scheduler.config)
        scheduler.set_timesteps(steps, device=self.device)
        kept = self.scheduler.alphas_cumprod.to(self.device)
        both = [wanted, unwanted] if guidance != 1.0 else [wanted]
        told = _joined([self.encoder(part.ids, part.features, part.styles, part.told) for part in both])
        mean = torch.cat([self.prior(size, part.features, part.styles, part.told) for part in both])
        latents = self._noise(size, seeds) * scheduler.init_noise_sigma
        for step, time in enumerate(scheduler.timesteps):
            alpha, sigma = kept[time].sqrt().view(1, 1, 1, 1), (1 - kept[time]).sqrt().view(1, 1, 1, 1)
            noisy = latents.repeat(len(both), 1, 1, 1)
            found = velocity(self.unet, noisy, time.expand(len(noisy)), mean, alpha, sigma, told).chunk(len(both))
            led = found[0] if len(both) == 1 else _guided(found[0], found[1], guidance)
            latents = scheduler.step(led, time, latents).prev_sample
            if watch is not None:
                watch(step + 1, steps)
        pixels: Tensor = self.codec.decode(latents)
        return pixels

    @torch.inference_mode()
    def mean(self, wanted: Told, size: Size) -> Tensor:
        """The prior alone: images (B, 3, H, W) that are the linear model's mean for each prompt."""
        pixels: Tensor = self.codec.decode(self.prior(size, wanted.features, wanted.styles, wanted.told))
        return pixels

    def _noise(self, size: Size, seeds: Sequence[int]) -> Tensor:
        """(B, C, h, w), drawn on the CPU so that every device begins with the same."""
        shape = self.prior.shapes[size]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]).to(self.device)


def _guided(wanted: Tensor, unwanted: Tensor, guidance: float) -> Tensor:
    """Away from what is unwanted, but as large as what is wanted: without that, images burn out (Lin et al. 2024)."""
    led = unwanted + guidance * (wanted - unwanted)
    ratio = wanted.flatten(1).std(dim=1) / led.flatten(1).std(dim=1)
    return led * torch.lerp(torch.ones_like(ratio), ratio, RESCALED).view(-1, 1, 1, 1)


def save(pipeline: ProductImagePipeline, folder: Path) -> None:
    """Write it as diffusers does, in safetensors."""
    pipeline.save_pretrained(folder, safe_serialization=True)


def load(folder: Path, codec: str) -> ProductImagePipeline:
    """Read what `save` wrote; `codec` is its kind.

    Raises:
        VitrinaError: a file is missing or damaged.
    """
    from_folder = {"local_files_only": True, "use_safetensors": True}
    try:
        parts = {
            name: kind.from_pretrained(folder / name, **from_folder).eval()
            for name, kind in (
                ("unet", UNet2DConditionModel),
                ("encoder", PromptEncoder),
                ("codec", CODECS[codec]),
                ("prior", RidgePrior),
            )
        }
        with without_bars():
            found: ProductImagePipeline = ProductImagePipeline.from_pretrained(folder, local_files_only=True, **parts)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise VitrinaError(f"{folder} holds no pipeline of this version: {str(error).strip().splitlines()[0]}") from error
    found.set_progress_bar_config(disable=True)
    return found


def _joined(parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """States, presence and summary of several batches as one; shorter prompts are padded."""
    longest = max(states.shape[1] for states, _, _ in parts)
    padded = [
        (
            torch.nn.functional.pad(states, (0, 0, 0, longest - states.shape[1])),
            torch.nn.functional.pad(there, (0, longest - there.shape[1])),
            summary,
        )
        for states, there, summary in parts
    ]
    first, second, third = zip(*padded, strict=True)
    return torch.cat(first), torch.cat(second), torch.cat(third)
