"""Draws with our own pipeline."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from configs.errors import VitrinaError
from models.imagegen.answers import STYLES, Prompt, Size
from models.imagegen.memory import enough_to_draw
from models.imagegen.own.pipeline import ProductImagePipeline, Told
from models.imagegen.own.prompts import Reader


class OwnPainter:
    """A `models.imagegen.painter.Painter` whose styles were learned.

    Attributes:
        sizes: Width and height of what it draws.
        pipeline: On the device where it draws.
        reader: Reads prompts.
    """

    def __init__(self, pipeline: ProductImagePipeline, reader: Reader, sizes: Sequence[Size], device: torch.device) -> None:
        self.pipeline, self.reader, self.sizes, self.device = pipeline.to(device), reader, tuple(sizes), device

    def paint(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], watch: Callable[[int, int], None] | None = None
    ) -> NDArray[np.uint8]:
        """See `Painter`."""
        if not prompts:
            width, height = self.sizes[0]
            return np.empty((0, height, width, 3), dtype=np.uint8)
        first = prompts[0]
        assert first.size is not None and first.guidance is not None, "prompts are resolved"
        wanted, unwanted = self.told(prompts), self._unwanted(prompts)
        with enough_to_draw(first.size, len(prompts)), self._fast():
            images = self.pipeline(wanted, unwanted, first.size, first.steps, first.guidance, first.sampler, seeds, watch)
        if not bool(torch.isfinite(images).all()):
            raise VitrinaError(f"the network drew no numbers with guidance {first.guidance:g}; ask for less guidance")
        return _as_pixels(images)

    def prior(self, prompts: Sequence[Prompt]) -> NDArray[np.uint8]:
        """What the linear model alone expects, one image (n, height, width, 3) a prompt."""
        assert prompts[0].size is not None, "prompts are resolved"
        return _as_pixels(self.pipeline.mean(self.told(prompts), prompts[0].size))

    def cuts(self, text: str) -> bool:
        """See `Painter`."""
        return self.reader.cuts(text)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """See `Painter`."""
        return self.reader.unknown(text)

    def told(self, prompts: Sequence[Prompt]) -> Told:
        """Prompts as the network takes them."""
        styles = torch.tensor([STYLES.index(prompt.style) for prompt in prompts])
        return self._read([prompt.text for prompt in prompts], styles, torch.ones(len(prompts), dtype=torch.bool))

    def _unwanted(self, prompts: Sequence[Prompt]) -> Told:
        """Negative prompts; where there is none, prompt and style are hidden, so that any image is led away from."""
        given = torch.tensor([bool(prompt.negative) for prompt in prompts])
        return self._read([prompt.negative for prompt in prompts], torch.zeros(len(prompts), dtype=torch.int64), given)

    def _read(self, texts: Sequence[str], styles: torch.Tensor, told: torch.Tensor) -> Told:
        ids, features = self.reader.read(texts)
        return Told(*(value.to(self.device) for value in (ids, features, styles, told)))

    def _fast(self) -> "torch.autocast | nullcontext[None]":
        """On a GPU the network multiplies in bf16."""
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()


def _as_pixels(images: torch.Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8."""
    levels = ((images.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    found: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return found
