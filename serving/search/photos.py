"""Small photos of an index's products: JPEGs one after the other in a file that is mapped, and where each begins.

A product takes 8 bytes and those of its photo: 4 to 5 kB at 160 pixels, and 2 kB where photos of 60 × 80 are kept as they are.
Workers hold none of it; what is shown is in the system's page cache. Shapes: n products, b bytes.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ImageError
from catalog.thumbnails import small

PHOTOS, OFFSETS = "photos.npy", "photo_offsets.npy"
_AT_ONCE = 1024
"""Photos that are made before they are written."""


@dataclass(frozen=True)
class Photos:
    """Photos by row.

    Attributes:
        data: uint8 [b], mapped.
        offsets: int64 [n + 1], mapped; a row without a photo ends where it begins.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def there(self, row: int) -> bool:
        """Whether a row has one."""
        return bool(self.offsets[row] < self.offsets[row + 1])

    def get(self, row: int) -> bytes | None:
        """The JPEG of a row; None where it has none."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes() or None


def write(folder: Path, ids: Sequence[Any], photo: Callable[[Any], bytes | None], side: int) -> int:
    """Write the photos of products `ids` [n]; returns how many have one, and writes nothing where none has.

    A photo that cannot be decoded is left out: the checks of the delivery have named it.
    """

    def made(product_id: Any) -> bytes:
        data = photo(product_id)
        try:
            return small(data, side) if data else b""
        except ImageError:
            return b""

    lengths: list[int] = []
    with tempfile.TemporaryFile(dir=folder) as file, ThreadPoolExecutor() as pool:
        for start in range(0, len(ids), _AT_ONCE):
            lengths += [file.write(jpeg) for jpeg in pool.map(made, ids[start : start + _AT_ONCE])]
        if not any(lengths):
            return 0
        np.save(folder / OFFSETS, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), allow_pickle=False)
        file.seek(0)
        with (folder / PHOTOS).open("wb") as out:
            about = {"descr": "|u1", "fortran_order": False, "shape": (sum(lengths),)}
            np.lib.format.write_array_header_1_0(out, about)
            shutil.copyfileobj(file, out)
    return int(np.count_nonzero(lengths))


def read(folder: Path) -> Photos:
    """What `write` wrote.

    Raises:
        OSError, ValueError: a file is missing or damaged.
    """
    data = np.load(folder / PHOTOS, mmap_mode="r", allow_pickle=False)
    offsets = np.load(folder / OFFSETS, mmap_mode="r", allow_pickle=False)
    fits = data.dtype == np.uint8 and offsets.dtype == np.int64 and data.ndim == offsets.ndim == 1 and len(offsets) > 1
    if not fits or offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{OFFSETS} does not say where the photos of {PHOTOS} are")
    return Photos(data, offsets)
