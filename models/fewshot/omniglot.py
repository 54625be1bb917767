"""Omniglot as few-shot papers use it (Lake et al. 2015; protocol of Vinyals et al. 2016 and Finn et al. 2017).

A directory of the original images, `<alphabet>/<character>/<id>_<n>.png`, either below `images_background` and
`images_evaluation` or below the directory itself. Characters are shuffled once: 1,200 for training, the others for testing;
each one turned by 90, 180 and 270 degrees is a further class on its side of the split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from catalog.errors import CatalogueError
from configs.schema import PositiveInt, StrictModel
from models.fewshot.episodes import Photos, Pool
from models.fewshot.learner import Pools

PARTS = ("images_background", "images_evaluation")
TURNS = 4
"""Quarter turns of each character."""


class OmniglotConfig(StrictModel):
    """How the characters are read and divided."""

    side: PositiveInt = Field(28, description="pixels; the drawings of 105 x 105 are resized to it")
    train: PositiveInt = Field(1200, description="characters to train on; the others are tested")
    validation: PositiveInt = Field(
        100, description="of the characters to train on, those that weights are chosen by; the papers tune on the others"
    )
    seed: int = Field(17, ge=0, description="seeds the shuffle of the characters")


@dataclass(frozen=True)
class Omniglot:
    """The characters, divided.

    Attributes:
        pools: Characters to train on and to choose by.
        test: Characters that are tested.
    """

    pools: Pools
    test: Pool


def read(directory: Path, config: OmniglotConfig) -> Omniglot:
    """The three pools; photos uint8 [N, side, side, 1], strokes light on black, and no features [N, 0].

    Raises:
        CatalogueError: no such directory, no characters in it, too few of them, or an image that cannot be read.
    """
    folders = characters(directory)
    needed = config.train + 2
    if len(folders) < needed or config.validation > config.train - 2:
        raise CatalogueError(
            f"{directory} has {len(folders)} characters; {config.train} to train on, {config.validation} of them to choose by, "
            "need two more to test and leave two to learn from"
        )
    order = np.random.default_rng(config.seed).permutation(len(folders))
    dealt = [folders[place] for place in order]
    learned = config.train - config.validation
    parts = dealt[:learned], dealt[learned : config.train], dealt[config.train :]
    train, validation, test = (_pool(part, config.side) for part in parts)
    return Omniglot(Pools(train, validation), test)


def characters(directory: Path) -> list[Path]:
    """Folders of the characters, by alphabet and name.

    Raises:
        CatalogueError: no such directory, or no images two folders below it.
    """
    if not directory.is_dir():
        raise CatalogueError(f"{directory} is no directory; it must hold Omniglot's {' and '.join(PARTS)}")
    roots = [directory / part for part in PARTS if (directory / part).is_dir()] or [directory]
    found = sorted({image.parent for root in roots for image in root.glob("*/*/*.png")}, key=_named)
    if not found:
        raise CatalogueError(f"{directory} holds no <alphabet>/<character>/*.png, nor do {' and '.join(PARTS)} in it")
    return found


def _named(folder: Path) -> tuple[str, str]:
    return folder.parent.name, folder.name


def _pool(folders: Sequence[Path], side: int) -> Pool:
    """Each character in all its turns, a class each."""
    drawings = [np.stack([_drawing(path, side) for path in sorted(folder.glob("*.png"))]) for folder in folders]
    turned = [np.rot90(drawn, turn, axes=(1, 2)) for drawn in drawings for turn in range(TURNS)]
    names = ["/".join((*_named(folder), f"{90 * turn}")) for folder in folders for turn in range(TURNS)]
    photos: Photos = np.concatenate(turned)[..., None]
    codes: NDArray[Any] = np.repeat(np.arange(len(turned)), [len(drawn) for drawn in turned])
    return Pool(
        features=np.zeros((len(codes), 0), dtype=np.float32),
        codes=codes,
        types=tuple(names),
        product_ids=np.arange(len(codes)),
        photos=photos,
        has_photo=np.ones(len(codes), dtype=bool),
    )


def _drawing(path: Path, side: int) -> Photos:
    """Uint8 [side, side]; the ink, dark in the file, is light."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            small = image.convert("L").resize((side, side), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise CatalogueError(f"{path} is no readable PNG image") from error
    return np.asarray(255 - np.asarray(small, dtype=np.uint8), dtype=np.uint8)
