"""Photos of a catalogue: random access to the encoded bytes, and decoding."""

import io
import itertools
import mmap
import socket
import struct
import tempfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from catalog.errors import CatalogueError, ImageError

MAX_PIXELS = 25_000_000
"""Pixels of a photo that may be in memory at once."""

LARGEST_SIDE = 512
"""Pixels of a photo's longer side that models are given; twice what the largest of them reads."""

SERVED_FORMATS = ("JPEG", "PNG", "WEBP")
"""What clients of the API may send."""

FORMATS = (*SERVED_FORMATS, *(("AVIF",) if features.check("avif") else ()), "GIF", "BMP", "TIFF")
"""What a catalogue may hold; of several frames the first counts."""

_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on bytes that are no photo, or only the beginning of one."""

_SHRUNK = 89_000_000
"""Pixels of a JPEG before it is shrunk while decoding: a progressive one is held whole as coefficients. Pillow warns of more."""

_ROWS_A_BATCH = 2048
_THUMBNAIL = (32, 32)


class ImageStore:
    """Encoded main photos by product id: of a product's photos the one at the lowest position, of several there the first.

    Parquet has no cheap random access, so the first `get` streams the photos into an unnamed temporary file and maps
    it: a process holds the ids and offsets, the system's page cache the bytes. A forked worker shares the map; a
    pickled store arrives closed and opens its own.
    """

    def __init__(self, path: Path, withheld: Collection[int] = ()) -> None:
        """`withheld`: positions of the rows that are not read."""
        self.path = path
        self.withheld = withheld
        self._spans: dict[str, tuple[int, int]] | None = None
        self._bytes: mmap.mmap | bytes = b""

    def get(self, product_id: Any) -> bytes | None:
        """Encoded main photo; None where the product, or the whole table, is not there.

        Raises:
            CatalogueError: the table cannot be read, or the temporary folder has no room for the photos.
        """
        if self._spans is None:
            self._spans = self._open()
        span = self._spans.get(str(product_id))
        return None if span is None else self._bytes[span[0] : span[1]]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "withheld": self.withheld, "size": _size(self.path)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.withheld, self._spans, self._bytes = state["path"], state["withheld"], None, b""
        if (here := _size(self.path)) != state["size"]:
            there, found = ("no file" if size is None else f"{size:,} bytes" for size in (state["size"], here))
            raise CatalogueError(
                f"{self.path}: {found} on {socket.gethostname()}, {there} where it was opened; processes that work together "
                "must see the same files at the same path"
            )

    def _open(self) -> dict[str, tuple[int, int]]:
        spans: dict[str, tuple[int, int]] = {}
        if not self.path.is_file():
            return spans
        end = 0
        places: dict[str, float] = {}
        try:
            with tempfile.TemporaryFile() as file, pq.ParquetFile(self.path) as table:
                for product_id, place, photo in self._rows(table):
                    key = str(product_id)
                    if photo and (key not in spans or place < places[key]):
                        spans[key], places[key] = (end, end + file.write(photo)), place
                        end += len(photo)
                file.flush()
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if end else b""
        except (pa.ArrowException, KeyError) as error:
            raise CatalogueError(f"{self.path} is not a readable table of product_id and jpeg: {error}") from error
        except OSError as error:
            raise CatalogueError(f"cannot read the photos of {self.path} into {tempfile.gettempdir()}: {error}") from error
        return spans

    def _rows(self, table: pq.ParquetFile) -> Iterator[tuple[Any, float, bytes | None]]:
        """product_id, position (0 where none is given) and photo of the rows that are not withheld."""
        names = ["product_id", "jpeg", *(("position",) if "position" in table.schema_arrow.names else ())]
        row = itertools.count()
        for batch in table.iter_batches(_ROWS_A_BATCH, columns=names, use_threads=False):
            keys, photos = batch.column("product_id").to_pylist(), batch.column("jpeg").to_pylist()
            places = positions(batch.column("position")).tolist() if "position" in names else [0.0] * len(keys)
            for key, place, photo in zip(keys, places, photos, strict=True):
                if next(row) not in self.withheld:
                    yield key, place, photo


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A photo that is read by several and decoded once: `pixels` height × width × 3, RGB, upright."""

    pixels: NDArray[np.uint8]


def positions(column: pa.Array) -> NDArray[np.float64]:
    """Places of photos among those of their product; 0, the main photo's, where none is given.

    Raises:
        pyarrow.ArrowException: no numbers.
    """
    places: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.nan_to_num(places, nan=0.0)


def decode(
    photo: bytes | DecodedPhoto,
    size: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    *,
    max_side: int | None = None,
    formats: tuple[str, ...] = FORMATS,
) -> NDArray[np.uint8]:
    """Pixels of a photo, height × width × 3, RGB, upright (EXIF); of an animation the first frame.

    A large JPEG is decoded at a half, a quarter or an eighth where `size` or `max_side` allows it: it then differs by a few of
    255 levels from one that was decoded whole and resized. Greys of 16 bits are scaled to 8.

    Args:
        photo: The encoded bytes, or a photo that is decoded already.
        size: (height, width) to resize to, bilinear; the photo's own by default.
        max_pixels: A photo of which more would have to be decoded is refused before it is.
        max_side: Pixels; a photo whose longer side is longer is shrunk to it in proportion (Lanczos). Not together with `size`.
        formats: Pillow's names of those that are read.

    Raises:
        ImageError: of none of the formats, truncated, or too large; says which.
    """
    assert size is None or max_side is None, "size says how large the photo gets; max_side has nothing to add"
    rgb = (
        Image.fromarray(photo.pixels) if isinstance(photo, DecodedPhoto) else _opened(photo, size, max_side, max_pixels, formats)
    )
    if size is not None and rgb.size != (size[1], size[0]):
        rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    if max_side is not None:
        rgb.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.array(rgb, dtype=np.uint8)


def light(photo: bytes | DecodedPhoto | None) -> tuple[float | None, float | None]:
    """Brightness and contrast of a photo: mean and standard deviation of the luma of a 32 × 32 thumbnail, in 0…1.

    None for both where there is no photo.

    Raises:
        ImageError: it cannot be decoded.
    """
    if photo is None:
        return None, None
    seen = luma(decode(photo, _THUMBNAIL))
    return float(seen.mean()), float(seen.std())


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness (height, width) of pixels (height, width, 3), BT.601, in 0…1."""
    return np.asarray(pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255)


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Mean absolute Laplacian of the luma (after Pech-Pacheco et al. 2000), relative to its contrast; 0 or more, about 0 to 1.

    Of pixels (height, width, 3), at least 3 × 3.
    """
    seen = luma(pixels)
    edges = np.abs(seen[2:, 1:-1] + seen[:-2, 1:-1] + seen[1:-1, 2:] + seen[1:-1, :-2] - 4 * seen[1:-1, 1:-1]).mean()
    return float(edges / (seen.std() + 0.02))


def _opened(
    data: bytes, size: tuple[int, int] | None, max_side: int | None, max_pixels: int, formats: tuple[str, ...]
) -> Image.Image:
    """The photo, at least twice as large as `size` or `max_side` where it is that large itself."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height <= max(max_pixels, _SHRUNK) and (wanted := _wanted(size, max_side, width, height)):
                image.draft("RGB", wanted)  # of JPEGs alone
            if image.width * image.height > max_pixels:
                raise ImageError(f"image is {width} x {height} pixels; at most {max_pixels} pixels are allowed")
            return _flatten(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"image of {len(data)} bytes cannot be decoded; allowed: {', '.join(formats)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"image is too large; at most {max_pixels} pixels are allowed") from error
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or "the file is broken"
        raise ImageError(f"image of {len(data)} bytes cannot be decoded: {reason}") from error


def _wanted(size: tuple[int, int] | None, max_side: int | None, width: int, height: int) -> tuple[int, int] | None:
    """Least (width, height) that is worth decoding; None where all of it is."""
    if size is not None:
        return 2 * size[1], 2 * size[0]
    if max_side is None:
        return None
    longer = max(width, height)
    return -(-2 * max_side * width // longer), -(-2 * max_side * height // longer)


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, with whatever is transparent on white as shops show it."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Greys of more than 8 bits, height × width, on 0 to 255; a value that is no number is black.

    Of 16 bits the whole range counts, so that a dark photo stays dark. Wider ones have none: the narrowest of `_TOPS` that
    holds all values is taken, or else what lies between the darkest and the lightest.
    """
    greys = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(greys.min()), float(greys.max())
    tops = [top for top in _TOPS.get(image.mode, (65_535.0,)) if low >= 0 and high <= top]
    if tops:
        low, high = 0.0, tops[0]
    levels = np.rint((greys - low) * (255 / ((high - low) or 1.0)))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        levels[greys == transparent] = 255
    return levels.astype(np.uint8)


_TOPS = {"I": (255.0, 65_535.0), "F": (1.0, 255.0)}
"""What is white in modes of 32 bits: integers of 8 or 16 bits, shares or levels."""
