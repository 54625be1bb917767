"""Models that others trained, read from folders as `diffusers` and `transformers` write them: safetensors, no pickle, no code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging
from safetensors import SafetensorError

from configs.errors import VitrinaError

STEMS = ("diffusion_pytorch_model", "model")
"""How files of weights are called: by diffusers, and by transformers."""
_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)
"""What the libraries raise on files that are not what their names say."""


@contextmanager
def without_bars() -> Iterator[None]:
    """Around what diffusers would draw a progress bar for: it belongs into no log."""
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


@contextmanager
def readable(folder: Path, what: str) -> Iterator[None]:
    """Around the reading of `what` from a folder.

    Raises:
        VitrinaError: it is something else, or damaged.
    """
    try:
        yield
    except _BROKEN as error:
        raise VitrinaError(f"{folder} is not {what}: {' '.join(str(error).split())[:300]}") from error


def weights(folder: Path, kind: Any) -> Any:
    """A model of the class `kind` in 32 bits; weights that were saved in 16 bits alone are taken as well.

    Raises:
        VitrinaError: no weights in safetensors, some are missing or of the wrong shape, or the folder holds another model.
    """
    found = {path.name for path in folder.glob("*")} if folder.is_dir() else set()
    variants = [variant for variant in (None, "fp16") if any(_holds_weights(name, variant) for name in found)]
    if not variants:
        pickled = sorted(name for name in found if name.endswith((".bin", ".ckpt", ".pt", ".pth")))
        instead = f", but {pickled[0]}" if pickled else ""
        raise VitrinaError(f"{folder} has no weights in safetensors{instead}; allowed: a {kind.__name__} in safetensors")
    with readable(folder, f"a {kind.__name__}"):
        model, told = kind.from_pretrained(
            folder,
            variant=variants[0],
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    for what in ("missing_keys", "mismatched_keys"):
        if told[what]:
            first = sorted(map(str, told[what]))[0]
            raise VitrinaError(f"{folder}: {what.removesuffix('_keys')} weights, {len(told[what])} in all, such as {first}")
    return model.eval()


def _holds_weights(name: str, variant: str | None) -> bool:
    """Whether a file holds weights, or is the index of several that do."""
    told = f".{variant}" if variant else ""
    return any(name in {f"{stem}{told}.safetensors", f"{stem}.safetensors.index{told}.json"} for stem in STEMS)
