"""A generator that cannot learn anything: it draws the shape and the colour that a title names, for tests of what is measured."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bundles import COLOURS, TYPES, draw
from PIL import Image, ImageFilter

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig
from models.family import EvaluationRun
from models.imagegen.answers import Nearest, Prompt, Score, Size
from models.imagegen.config import ImagegenModelConfig, JudgeConfig, MeasuredConfig
from models.imagegen.evaluate import measure
from models.imagegen.judge.judge import Judge
from models.imagegen.photos import Pixels, fitted

MODEL = ImagegenModelConfig(
    judge=JudgeConfig(
        channels=(8, 16, 32), features=12, min_photos=3, epochs=10, batch_size=32, learning_rate=1e-2, ema_decay=0.8
    ),
    measured=MeasuredConfig(products=40, candidates=3, gallery=12, swept=2),
)
CONFIG = EvaluationConfig(bootstrap_samples=50, latency_calls=2, min_slice_rows=5)
SIZE: Size = (64, 64)
WORDS = {word: (kind, shape) for kind, (_, _, word, _, shape) in TYPES.items()}


class FakePainter:
    """Right in all but every `wrong`-th seed, where another colour is drawn; without `wrong` always right."""

    sizes: tuple[Size, ...] = (SIZE,)

    def __init__(self, wrong: int | None = None) -> None:
        self.wrong, self.painted = wrong, 0

    def paint(self, prompts: Sequence[Prompt], seeds: Sequence[int], watch: Callable[[int, int], None] | None = None) -> Pixels:
        self.painted += len(prompts)
        assert all(prompt.size == SIZE and prompt.guidance is not None for prompt in prompts)
        return np.stack([self._one(prompt.text, seed) for prompt, seed in zip(prompts, seeds, strict=True)])

    def prior(self, prompts: Sequence[Prompt]) -> Pixels:
        """The same shapes, very soft and grey."""
        soft = [Image.fromarray(one).convert("L").convert("RGB") for one in self.paint(prompts, [1] * len(prompts))]
        return np.stack([np.asarray(one.filter(ImageFilter.GaussianBlur(8)), dtype=np.uint8) for one in soft])

    def cuts(self, text: str) -> bool:
        return False

    def unknown_words(self, text: str) -> tuple[str, ...]:
        return ()

    def _one(self, text: str, seed: int) -> Pixels:
        words = text.split()
        colours = list(COLOURS)
        place = next(i for i, colour in enumerate(colours) if colour.lower() in words)
        if self.wrong and seed % self.wrong == 0:
            place += 1
        shape = next(shape for word, (_, shape) in WORDS.items() if word in words)
        photo = draw(shape, COLOURS[colours[place % len(colours)]], np.random.default_rng(seed))
        return fitted(photo, SIZE)


def scored(pixels: Pixels) -> Score:
    """Hangs on the pixels alone."""
    share = zlib.crc32(pixels.tobytes()) / 2**32
    nearest = Nearest(str(1000 + zlib.crc32(pixels.tobytes()) % 100), 1 - share, share > 0.9)
    return Score(share, share, 0.5, 1.0, 0.25, nearest, None)


@dataclass
class Fake:
    """What is measured."""

    painter: FakePainter
    judge: Judge | None
    name: str = "imagegen"

    def score(self, prompts: Sequence[Prompt], pixels: Sequence[Pixels]) -> list[Score]:
        assert len(prompts) == len(pixels)
        return [scored(one) for one in pixels]

    def resolved(self, prompt: Prompt) -> Prompt:
        if not any(word in WORDS for word in prompt.text.split()):
            raise VitrinaError("the prompt says nothing")
        return replace(prompt, size=prompt.size or SIZE, guidance=prompt.guidance or 3.0)


def measured(shop: Catalogue, subject: Fake, keep: Path | None = None) -> EvaluationRun:
    """On 40 of the last 70 products."""
    products = shop.products()
    known = products[:230].assign(part=["train"] * 180 + ["validation"] * 50)
    return measure(subject, MODEL, shop, products[230:], known, CONFIG, "unseen", keep)
