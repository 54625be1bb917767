"""Draws with diffusers' own pipeline.

Images are drawn one by one: an image has the same bits however many are asked for, and needs the memory of one. Prompt and
negative prompt go through the network together.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from numpy.typing import NDArray
from torch import nn

from configs.errors import VitrinaError
from models.imagegen.answers import Prompt, Sampler, Size
from models.imagegen.memory import enough_to_draw
from models.imagegen.started.pipeline import Parts
from models.imagegen.started.words import Words, states
from models.imagegen.styles import looks

SCHEDULERS: dict[Sampler, Any] = {
    "ddim": lambda config: DDIMScheduler.from_config(config, clip_sample=False),  # its default would clip latents at 1
    "dpm-solver++": lambda config: DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++"),
}


class StartedPainter:
    """A `models.imagegen.painter.Painter`.

    Attributes:
        sizes: Width and height of what it draws.
        parts: The pipeline, on the device where it draws: in bf16 on a GPU that multiplies it, else in 32 bits.
    """

    def __init__(self, parts: Parts, sizes: Sequence[Size], device: str) -> None:
        self.sizes = tuple(sizes)
        self.device = torch.device(device)
        for part in parts.networks:
            nn.Module.to(part.eval().requires_grad_(False), device=self.device, dtype=_dtype(self.device))
        for part in (parts.unet, parts.vae):
            part.to(memory_format=torch.channels_last)
        self.parts = parts
        self._words = Words(parts)

    def paint(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], watch: Callable[[int, int], None] | None = None
    ) -> NDArray[np.uint8]:
        """See `Painter`; `watch` counts the steps of all images, one after the other."""
        if not prompts:
            width, height = self.sizes[0]
            return np.empty((0, height, width, 3), dtype=np.uint8)
        total = sum(prompt.steps for prompt in prompts)
        drawn: list[NDArray[np.uint8]] = []
        done = 0
        for prompt, seed in zip(prompts, seeds, strict=True):
            drawn.append(self._draw(prompt, seed, _counted(watch, done, total)))
            done += prompt.steps
        return np.stack(drawn)

    def cuts(self, text: str) -> bool:
        """See `Painter`; the words of a style come last, and are cut first."""
        return self._words.cuts(text)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """None: whoever trained the text encoder showed it far more words than a catalogue has."""
        return ()

    @torch.inference_mode()
    def _draw(self, prompt: Prompt, seed: int, counted: Callable[..., dict[str, Any]]) -> NDArray[np.uint8]:
        assert prompt.size is not None and prompt.guidance is not None, "prompts are resolved"
        width, height = prompt.size
        look = looks()[prompt.style]
        told = look.negative if look.negative not in prompt.negative else ""
        negative = ", ".join(part for part in (prompt.negative, told) if part)
        with enough_to_draw(prompt.size):
            tokens = self._words.tokens([look.worded(prompt.text), negative])
            wanted, unwanted = states(self.parts.text_encoder, tokens).chunk(2)
            # A pipeline and a scheduler of its own for each image: they note how far they are.
            pipeline = self.parts.pipeline(SCHEDULERS[prompt.sampler](dict(self.parts.scheduler)))
            image = pipeline(
                prompt_embeds=wanted,
                negative_prompt_embeds=unwanted,
                width=width,
                height=height,
                num_inference_steps=prompt.steps,
                guidance_scale=prompt.guidance,
                generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=counted,
                output_type="np",
            ).images[0]
        if not np.isfinite(image).all():
            raise VitrinaError(f"the pipeline drew no numbers with guidance {prompt.guidance:g}; ask for less guidance")
        return np.asarray(np.rint(image * 255), dtype=np.uint8)


def _counted(watch: Callable[[int, int], None] | None, before: int, total: int) -> Callable[..., dict[str, Any]]:
    """What diffusers calls after each step."""

    def told(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        if watch is not None:
            watch(before + step + 1, total)
        return values

    return told


def _dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
