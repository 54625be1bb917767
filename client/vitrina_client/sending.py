"""What is sent, and where: photos as base64, times in ISO 8601, arrays as lists."""

import base64
import json
import os
from collections.abc import Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote, urlsplit

LOCAL = "http://127.0.0.1:3000"
"""Where `vitrina serve` listens."""

Photo: TypeAlias = bytes | PathLike[str] | BinaryIO
"""A whole JPEG, PNG or WebP: its bytes, its path, or a file that is open for reading bytes."""


def address(base_url: str | None) -> str:
    """Of the service; None takes `VITRINA_URL`, and where that is not set `LOCAL`.

    Raises:
        ValueError: it is none.
    """
    url = base_url or os.environ.get("VITRINA_URL") or LOCAL
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"base_url: {url!r} is no address; give one such as {LOCAL}")
    return url


def segment(name: int | str) -> str:
    """A name as a part of a path."""
    return quote(str(name), safe="")


def encoded(body: Mapping[str, object]) -> bytes:
    """A request as JSON.

    Raises:
        TypeError: a value cannot be sent; names it.
        ValueError: a number is not finite.
        OSError: a photo cannot be read.
    """
    return json.dumps(plain(body), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def plain(value: Any, at: str = "") -> Any:
    """`value`, which stands `at` in a request, of what JSON has alone."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(inner, inside(at, name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, inside(at, place)) for place, inner in enumerate(value)]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, PathLike):
        return plain(Path(value).read_bytes())
    if hasattr(value, "read"):
        return plain(value.read(), at)
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        return plain(value.tolist(), at)
    raise TypeError(f"{at}: {type(value).__name__} cannot be sent")


def inside(at: str, name: object) -> str:
    """Where a part of what stands `at` stands."""
    return f"{at}.{name}" if at else str(name)
