"""The styles of images, a file each; they are found by folder."""

import importlib
from functools import cache

from models.imagegen.answers import STYLES, Style
from models.imagegen.look import Look


@cache
def looks() -> dict[Style, Look]:
    """Every style, in the order of `STYLES`."""
    return {style: importlib.import_module(f"models.imagegen.styles.{style}").STYLE for style in STYLES}
