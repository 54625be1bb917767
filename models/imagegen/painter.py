"""What turns prompts into pixels: our own pipeline, or one of Stable Diffusion's class that was started from."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.imagegen.answers import Prompt, Size


class Painter(Protocol):
    """A trained generator without scores. Safe to call from several threads.

    Attributes:
        sizes: Width and height of what it draws.
    """

    sizes: tuple[Size, ...]

    def paint(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], watch: Callable[[int, int], None] | None = None
    ) -> NDArray[np.uint8]:
        """One image a prompt and seed (n, height, width, 3), RGB.

        The prompts are resolved: size, guidance and negative are given, and all but text, negative, style and seed are the same
        for all. The same call gives the same bits on the same machine. `watch` is told (steps done, steps) after each step.

        Raises:
            OutOfMemory: memory is not enough; says what needs less.
            VitrinaError: what `watch` raises.
        """
        ...

    def cuts(self, text: str) -> bool:
        """Whether a prompt is longer than what is read of it."""
        ...

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words of a prompt that no training text held, in order."""
        ...
