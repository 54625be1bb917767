"""What the image generator is asked and says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from configs.errors import VitrinaError

Style = Literal["photorealistic", "artistic", "vintage", "luxury"]
STYLES: tuple[Style, ...] = get_args(Style)

Sampler = Literal["ddim", "dpm-solver++"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

MIN_STEPS, MAX_STEPS = 10, 100
"""Steps of a sampler."""
MAX_GUIDANCE = 20.0
MAX_SEED = 2**31 - 1

Size = tuple[int, int]
"""Width and height in pixels."""


class Cancelled(VitrinaError):
    """Whoever asked no longer wants the image; raised by `Prompt.watch`."""


@dataclass(frozen=True)
class Prompt:
    """What is to be drawn, and how.

    Attributes:
        text: What the image shows.
        style: How it looks.
        negative: What it should not look like; "" for nothing but what the style says.
        size: One of the version's sizes; None for its first.
        steps: Of the sampler, `MIN_STEPS` to `MAX_STEPS`.
        guidance: How much more the image follows the text than any image would, 1 to `MAX_GUIDANCE` (classifier-free guidance);
            None for the version's own.
        sampler: How noise becomes an image.
        seed: The first candidate is drawn from it, the next from the next number.
        candidates: How many are drawn.
        watch: Told after each step how many of all candidates' steps are done, and how many there are; what it raises ends the
            drawing.
    """

    text: str
    style: Style = "photorealistic"
    negative: str = ""
    size: Size | None = None
    steps: int = 20
    guidance: float | None = None
    sampler: Sampler = "dpm-solver++"
    seed: int = 0
    candidates: int = 1
    watch: Callable[[int, int], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Nearest:
    """The training photo that is most like an image.

    Attributes:
        product_id: Whose photo it is.
        distance: 1 - cosine of the thumbnails of both (`models.imagegen.scoring.memory`), 0 to 1.
        memorised: Whether it is nearer than nearly all unseen photos are to those of training: a copy.
    """

    product_id: str
    distance: float
    memorised: bool


@dataclass(frozen=True)
class Score:
    """How good an image is, as the plain photo that it was made of; all but `nearest` and `shows` from 0 to 1, more is better.

    Attributes:
        overall: The weighted mean of the others, and of 1 for an image that is not memorised.
        agreement: Whether it shows what the prompt says, by the towers of `product`: 0 where it is no nearer to the prompt than
            half of real photos are to titles of other products, 1 where it is as near as half of them are to their own.
        sharpness: Share of training photos that are less sharp.
        exposure: 1 where it is as light as photos are, and nothing in it is black without any shade.
        white_background: Share of the border that is white.
        nearest: The most similar training photo.
        shows: What the towers take it for, and how probable that is; None where types are no task of `product`.
    """

    overall: float
    agreement: float
    sharpness: float
    exposure: float
    white_background: float
    nearest: Nearest
    shows: tuple[str, float] | None


@dataclass(frozen=True, eq=False)
class Picture:
    """One image: `pixels` height × width × 3, RGB; the same prompt with this `seed` and one candidate gives it again."""

    pixels: NDArray[np.uint8]
    seed: int
    score: Score


@dataclass(frozen=True)
class Drawing:
    """What was drawn for a prompt.

    Attributes:
        prompt: As asked, with size, guidance and negative filled in.
        pictures: The candidates, the one with the highest score first.
        unknown_words: Words of the prompt that no training text held, so that the version cannot know what they look like.
        cut: Whether the prompt is longer than what the version reads, so that its end was not read.
    """

    prompt: Prompt
    pictures: tuple[Picture, ...]
    unknown_words: tuple[str, ...]
    cut: bool = False

    @property
    def best(self) -> Picture:
        """The candidate with the highest score."""
        return self.pictures[0]
