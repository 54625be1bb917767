"""A generator that cannot learn anything: it draws the shape and the colour that a title names, for tests of what is measured."""

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from bundles import COLOURS, TYPES, draw
from PIL import Image, ImageFilter

from catalog.images import DecodedPhoto
from models.imagegen.answers import Nearest, Prompt, Score, Size
from models.imagegen.judge.judge import Judge
from models.imagegen.photos import Pixels, fitted

SIZE: Size = (64, 64)
WORDS = {word: (kind, shape) for kind, (_, _, word, _, shape) in TYPES.items()}


class FakePainter:
    """Right in all but every `wrong`-th seed, where another colour is drawn; without `wrong` always right."""

    sizes: tuple[Size, ...] = (SIZE,)

    def __init__(self, wrong: int | None = None) -> None:
        self.wrong, self.painted = wrong, 0

    def paint(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], watch: Callable[[int, int], None] | None = None
    ) -> Pixels:
        self.painted += len(prompts)
        assert all(prompt.size == SIZE and prompt.guidance is not None for prompt in prompts)
        return np.stack([self._one(prompt.text, seed) for prompt, seed in zip(prompts, seeds, strict=True)])

    def prior(self, prompts: Sequence[Prompt]) -> Pixels:
        """The same shapes, very soft and grey."""
        soft = [Image.fromarray(one).convert("L").convert("RGB") for one in self.paint(prompts, [1] * len(prompts))]
        return np.stack([np.asarray(one.filter(ImageFilter.GaussianBlur(8)), dtype=np.uint8) for one in soft])

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


class FakeScorer:
    """Scores hang on the pixels alone; real photos and drawings are scored alike."""

    def score(self, texts: Sequence[str], pixels: Pixels) -> list[Score]:
        return [self._one(one) for one in pixels]

    def _one(self, one: Pixels) -> Score:
        share = zlib.crc32(one.tobytes()) / 2**32
        nearest = Nearest(str(1000 + zlib.crc32(one.tobytes()) % 100), share, share < 0.05)
        return Score(share, share, 0.5, 1.0, 0.25, nearest, None)


@dataclass
class Fake:
    """What is measured."""

    painter: FakePainter
    judge: Judge | None
    scorer: FakeScorer
    name: str = "imagegen"

    def resolved(self, prompt: Prompt) -> Prompt:
        return replace(prompt, size=prompt.size or SIZE, guidance=prompt.guidance or 3.0)


def jpeg(pixels: Pixels) -> bytes:
    """As a photo."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """To a square."""
    return fitted(DecodedPhoto(pixels), (side, side))
