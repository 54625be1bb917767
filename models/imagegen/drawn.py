"""Draws for many prompts in batches, with scores; what is drawn can be kept, so that a long measuring that is ended goes on.

Shapes: n prompts, images of H x W pixels.
"""

import io
import logging
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from configs.errors import VitrinaError
from models.imagegen.answers import MAX_SEED, Prompt, Score
from models.imagegen.painter import Painter
from models.imagegen.photos import Pixels

if TYPE_CHECKING:
    from models.imagegen.judge.judge import Judge

log = logging.getLogger(__name__)

BATCH = 64
"""Prompts that are drawn at once, and kept in one file, at most."""

BATCH_PIXELS = 4 * 1024 * 1024
"""Pixels of a batch, at most: of large images fewer are drawn at once."""

PAGE_SIDE = 128
"""Pixels to which small images are enlarged on pages, in whole steps, so that they stay crisp."""

KEPT_SIDE = 256
"""Pixels of an image's longer side that is kept for pages."""

SCORES = TypeAdapter(list[Score])


class Measurable(Protocol):
    """What is measured: a version's predictor."""

    name: str

    @property
    def painter(self) -> Painter:
        """Draws."""
        ...

    @property
    def judge(self) -> "Judge | None":
        """Says what images show; None where the catalogue said nothing that it could have learned."""
        ...

    def resolved(self, prompt: Prompt) -> Prompt:
        """The prompt with what it does not say filled in.

        Raises:
            VitrinaError: it cannot be drawn.
        """
        ...

    def score(self, prompts: Sequence[Prompt], pixels: Sequence[Pixels]) -> list[Score]:
        """Scores of images (H, W, 3) for prompts."""
        ...


@runtime_checkable
class HasPrior(Protocol):
    """A painter whose network begins from what a linear model sees in a prompt."""

    def prior(self, prompts: Sequence[Prompt]) -> Pixels:
        """That alone, one image (n, H, W, 3) a prompt."""
        ...


@dataclass(frozen=True, eq=False)
class Drawn:
    """Several candidates a prompt, of which the first and the best are kept.

    Attributes:
        first, best: (n, H, W, 3); the best by overall score.
        first_scores, best_scores: One a prompt.
        seeds: Of the best (n).
    """

    first: Pixels
    best: Pixels
    first_scores: list[Score]
    best_scores: list[Score]
    seeds: NDArray[np.int64]

    def saved(self, path: Path) -> None:
        """Write it, whole or not at all."""
        told = [np.frombuffer(SCORES.dump_json(scores), dtype=np.uint8) for scores in (self.first_scores, self.best_scores)]
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, first=self.first, best=self.best, seeds=self.seeds, first_scores=told[0], best_scores=told[1])
        partial.replace(path)

    @classmethod
    def restored(cls, path: Path) -> "Drawn":
        """What `saved` wrote."""
        with np.load(path, allow_pickle=False) as found:
            first, best = (SCORES.validate_json(found[name].tobytes()) for name in ("first_scores", "best_scores"))
            return cls(found["first"], found["best"], first, best, found["seeds"])

    @classmethod
    def joined(cls, parts: Sequence["Drawn"]) -> "Drawn":
        """One after the other."""
        first, best, seeds = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "best", "seeds"))
        first_scores = [score for part in parts for score in part.first_scores]
        return cls(first, best, first_scores, [score for part in parts for score in part.best_scores], seeds)


def draw(
    subject: Measurable, prompts: Sequence[Prompt], seeds: Sequence[int], candidates: int, keep: Path | None = None
) -> Drawn:
    """Images for resolved prompts that are alike but for text and style; of each, candidates from its seed on.

    Args:
        subject: Draws and scores.
        prompts: At least one.
        seeds: Of the first candidate of each.
        candidates: Images a prompt.
        keep: Folder in which each batch is kept, and from which those are taken that are there; of these prompts alone.
    """
    parts, started = list[Drawn](), time.monotonic()
    width, height = subject.painter.sizes[0]
    batch = min(BATCH, max(1, BATCH_PIXELS // (width * height)))
    for start in range(0, len(prompts), batch):
        path = None if keep is None else keep / f"drawn-{start:06d}.npz"
        if path is not None and path.is_file():
            parts.append(Drawn.restored(path))
            continue
        some = slice(start, start + batch)
        parts.append(_batch(subject, prompts[some], seeds[some], candidates))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[-1].saved(path)
        done, gone = min(start + batch, len(prompts)), time.monotonic() - started
        log.info("drew %d of %d prompts, %d images each, in %.0f s", done, len(prompts), candidates, gone)
    return Drawn.joined(parts)


def _batch(subject: Measurable, prompts: Sequence[Prompt], seeds: Sequence[int], candidates: int) -> Drawn:
    images = [subject.painter.paint(prompts, [seed + number for seed in seeds]) for number in range(candidates)]
    scores = [subject.score(prompts, list(pixels)) for pixels in images]
    overall = np.array([[score.overall for score in one] for one in scores])
    which = overall.argmax(axis=0)
    rows = range(len(prompts))
    return Drawn(
        first=images[0],
        best=np.stack([images[which[row]][row] for row in rows]),
        first_scores=scores[0],
        best_scores=[scores[which[row]][row] for row in rows],
        seeds=np.array(seeds, dtype=np.int64) + which,
    )


def drawable(subject: Measurable, products: pd.DataFrame, plain: Prompt) -> dict[Any, Prompt]:
    """Prompts, resolved, by product id: titles in the settings of `plain`.

    Products without a title, or with none of whose words the version knows, are left out, and counted in the log.
    """
    found, refused = dict[Any, Prompt](), 0
    for product_id, title in zip(products["product_id"], products["title"], strict=True):
        try:
            found[product_id] = subject.resolved(replace(plain, text=title if isinstance(title, str) else ""))
        except VitrinaError:
            refused += 1
    if refused:
        log.info("%d of %d products are not drawn: their titles say nothing that the version knows", refused, len(products))
    return found


def seed_of(product_id: Any) -> int:
    """The seed with which a product's title is drawn whenever it is measured; the next ones are its other candidates'."""
    return zlib.crc32(str(product_id).encode()) % (MAX_SEED - 1000)


def png(pixels: Pixels) -> bytes:
    """An image (H, W, 3) as PNG, its longer side at most `KEPT_SIDE` pixels."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def enlarged(image: bytes) -> bytes:
    """A small PNG with every pixel repeated, up to `PAGE_SIDE`, so that no browser smooths it."""
    with Image.open(io.BytesIO(image), formats=("PNG",)) as opened:
        times = PAGE_SIDE // max(opened.size)
        if times < 2:
            return image
        buffer = io.BytesIO()
        opened.resize((times * opened.width, times * opened.height), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
