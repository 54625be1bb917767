"""Photos of a catalogue: random access to the encoded bytes, and decoding."""

import io
import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from catalog.errors import CatalogueError, ImageError

MAX_PIXELS = 25_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")
_ROWS_A_BATCH = 2048


class ImageStore:
    """Encoded photos by product id.

    Parquet has no cheap random access, so the first `get` streams the photos into an unnamed temporary file and maps
    it: a process holds the ids and offsets, the system's page cache the bytes. A forked worker shares the map; a
    pickled store arrives closed and opens its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spans: dict[str, tuple[int, int]] | None = None
        self._bytes: mmap.mmap | bytes = b""

    def get(self, product_id: Any) -> bytes | None:
        """Encoded photo; None where the product, or the whole table, is not there. The first of duplicates counts.

        Raises:
            CatalogueError: the table cannot be read, or the temporary folder has no room for the photos.
        """
        if self._spans is None:
            self._spans = self._open()
        span = self._spans.get(str(product_id))
        return None if span is None else self._bytes[span[0] : span[1]]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_spans": None, "_bytes": b""}

    def _open(self) -> dict[str, tuple[int, int]]:
        spans: dict[str, tuple[int, int]] = {}
        if not self.path.is_file():
            return spans
        end = 0
        try:
            with tempfile.TemporaryFile() as file, pq.ParquetFile(self.path) as table:
                for batch in table.iter_batches(_ROWS_A_BATCH, columns=["product_id", "jpeg"], use_threads=False):
                    for key, photo in zip(batch.column("product_id").to_pylist(), batch.column("jpeg").to_pylist(), strict=True):
                        if photo and str(key) not in spans:
                            spans[str(key)] = (end, end + file.write(photo))
                            end += len(photo)
                file.flush()
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if end else b""
        except (pa.ArrowException, KeyError) as error:
            raise CatalogueError(f"{self.path} is not a readable table of product_id and jpeg: {error}") from error
        except OSError as error:
            raise CatalogueError(f"cannot read the photos of {self.path} into {tempfile.gettempdir()}: {error}") from error
        return spans


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A photo that is read by several and decoded once: `pixels` height × width × 3, RGB, upright."""

    pixels: NDArray[np.uint8]


def decode(photo: bytes | DecodedPhoto, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Pixels of a photo, height × width × 3, RGB, upright (EXIF).

    A large JPEG is decoded at a half, a quarter or an eighth where `size` allows it: it then differs by a few of 255 levels from
    one that was decoded whole and resized.

    Args:
        photo: JPEG, PNG or WebP, or one that is decoded already.
        size: (height, width) to resize to, bilinear; the photo's own by default.
        max_pixels: Larger photos are refused before they are decoded.

    Raises:
        ImageError: no JPEG, PNG or WebP, truncated, or too large.
    """
    rgb = Image.fromarray(photo.pixels) if isinstance(photo, DecodedPhoto) else _opened(photo, size, max_pixels)
    if size is not None and rgb.size != (size[1], size[0]):
        rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(rgb, dtype=np.uint8)


def _opened(data: bytes, size: tuple[int, int] | None, max_pixels: int) -> Image.Image:
    """The photo, at least twice as large as `size` where it is that large itself."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"image is {image.width} x {image.height} pixels; at most {max_pixels} pixels are allowed")
            if size is not None:
                image.draft("RGB", (2 * size[1], 2 * size[0]))
            return _flatten(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"image is too large; at most {max_pixels} pixels are allowed") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageError(f"image of {len(data)} bytes cannot be decoded; allowed: {', '.join(_FORMATS)}") from error


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, with whatever is transparent on white as shops show it."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
