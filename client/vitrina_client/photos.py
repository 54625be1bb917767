"""Values of a request as JSON takes them: photos as base64, times in ISO 8601, arrays as lists."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

Photo: TypeAlias = bytes | PathLike[str] | BinaryIO
"""A whole JPEG, PNG or WebP: its bytes, its path, or a file that is open for reading bytes."""


def encoded(body: Mapping[str, object]) -> bytes:
    """JSON of a request.

    Raises:
        TypeError: a value cannot be sent; names it.
        ValueError: a number is not finite.
        OSError: a photo cannot be read.
    """
    return json.dumps(plain(body), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def plain(value: Any, at: str = "") -> Any:
    """`value` of str, int, float, bool, None, list and dict alone; `at` is where it stands in the request."""
    if value is None or isinstance(value, str | int | float):
        if isinstance(value, str) and at.rpartition(".")[2] == "image" and not at.startswith("labels"):
            raise TypeError(f"{at}: a str may be a path or base64; give a pathlib.Path, bytes or a file that is open for bytes")
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(inner, f"{at}.{name}".lstrip(".")) for name, inner in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, PathLike):
        return base64.b64encode(Path(value).read_bytes()).decode()
    if hasattr(value, "read"):
        return plain(value.read(), f"{at}.read()".lstrip("."))
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        return plain(value.tolist(), at)
    if isinstance(value, list | tuple):
        return [plain(inner, f"{at}.{place}".lstrip(".")) for place, inner in enumerate(value)]
    raise TypeError(f"{at}: {type(value).__name__} cannot be sent")
