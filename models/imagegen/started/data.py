"""Photos as an autoencoder's latents, stored once, and the batches that are made of them.

Shapes: n shots, B of a batch, C channels of the latents, h x w cells, T tokens.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from configs.errors import VitrinaError
from models.imagegen.answers import Size
from models.imagegen.memory import enough_memory
from models.imagegen.photos import fitted
from models.imagegen.shots import Shot
from models.training.batches import mix, moved, part_of

Latents = Mapping[Size, NDArray[np.float16]]
"""Of each size (n, C, h, w)."""

AT_ONCE = 1 << 20
"""Pixels that are encoded at once: 4 photos of 512 x 512."""
READ_AT_ONCE = 64
"""Photos that are in memory at once."""


@dataclass
class ShotBatch:
    """Latents (B, C, h, w), tokens of their prompts (B, T), and their rows (B)."""

    latents: Tensor
    tokens: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ShotBatch":
        """On another device."""
        return moved(self, device, non_blocking)


@dataclass(frozen=True)
class Prompts:
    """Tokens (texts, T) of the wordings of n shots: `counts` (n) each, one shot's after the other's."""

    tokens: Tensor
    counts: NDArray[np.int64]


class ShotRows(Dataset[ShotBatch]):
    """Batches by (epoch, row), each shot under one of its wordings.

    A training batch has one of the sizes by chance, as its first row and the epoch say; on several devices, each draws that of
    its own part. Validation goes through the sizes in turn.
    """

    def __init__(self, latents: Latents, prompts: Prompts, seed: int) -> None:
        self._latents, self._prompts, self._seed = latents, prompts, seed
        self._sizes = tuple(latents)
        self._starts = np.cumsum(prompts.counts) - prompts.counts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> ShotBatch:
        epoch, first = part_of(keys).whole[0]
        turn = first // len(keys) if epoch < 0 else mix(self._seed, epoch, first)
        rows = [row for _, row in keys]
        latents = self._latents[self._sizes[turn % len(self._sizes)]][rows]
        tokens = self._prompts.tokens[[self._wording(epoch, row) for row in rows]]
        return ShotBatch(torch.from_numpy(latents.astype(np.float32)), tokens.long(), torch.tensor(rows))

    def _wording(self, epoch: int, row: int) -> int:
        chosen = mix(self._seed, epoch, row, 1) % int(self._prompts.counts[row]) if epoch >= 0 else 0
        return int(self._starts[row]) + chosen


def encode_shots(
    shots: Sequence[Shot], sizes: Sequence[Size], encode: Callable[[Tensor], Tensor], channels: int, factor: int, folder: Path
) -> Latents:
    """Latents of all shots in every size, from files in `folder` where they lie there, else written there.

    `encode` is told pixels (b, 3, H, W) in [-1, 1] on the CPU and gives latents (b, C, H / factor, W / factor). A photo and size
    takes 2 C h w bytes on the disk: 32 kB at 512 x 512 and 4 channels of 8 x 8 pixels.

    Raises:
        VitrinaError: a photo cannot be decoded, or memory or the disk is not enough.
    """
    paths = {size: folder / f"{size[0]}x{size[1]}.npy" for size in sizes}
    missing = [size for size, path in paths.items() if not path.is_file()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if missing:
            _write(shots, {size: paths[size] for size in missing}, encode, channels, factor)
        return {size: np.load(path, mmap_mode="r", allow_pickle=False) for size, path in paths.items()}
    except OSError as error:
        raise VitrinaError(f"cannot write the latents of {len(shots)} photos into {folder}: {error.strerror}") from error


def _write(
    shots: Sequence[Shot], paths: Mapping[Size, Path], encode: Callable[[Tensor], Tensor], channels: int, factor: int
) -> None:
    partial = {size: path.with_suffix(".partial") for size, path in paths.items()}
    files = {size: _file(path, (len(shots), channels, size[1] // factor, size[0] // factor)) for size, path in partial.items()}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(shots), READ_AT_ONCE):
            part = [shots[row] for row in range(start, min(start + READ_AT_ONCE, len(shots)))]
            for size, file in files.items():
                _encode_part(part, size, encode, file[start : start + len(part)], threads)
    for size, file in files.items():
        file.flush()
        partial[size].replace(paths[size])


def _file(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float16]]:
    """A new file of zeros, whose room on the disk is taken at once: a full disk would else be met as a signal."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    with path.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
    return file


def _encode_part(
    part: Sequence[Shot],
    size: Size,
    encode: Callable[[Tensor], Tensor],
    out: NDArray[np.float16],
    threads: ThreadPoolExecutor,
) -> None:
    photos = list(threads.map(lambda shot: fitted(shot.photo, size), part))
    step = max(1, AT_ONCE // (size[0] * size[1]))
    for start in range(0, len(photos), step):
        pixels = torch.from_numpy(np.stack(photos[start : start + step])).permute(0, 3, 1, 2)
        with enough_memory(f"encoding {step} photos of {size[0]} x {size[1]} pixels", "train smaller model.sizes"):
            out[start : start + step] = encode(pixels.float() / 127.5 - 1).half().cpu().numpy()
