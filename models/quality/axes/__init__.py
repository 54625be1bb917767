"""The axes of quality, a file each; they are found by folder."""

import importlib
from functools import cache

from models.quality.answers import AXES, Axis
from models.quality.axis import Reader


@cache
def readers() -> dict[Axis, Reader]:
    """Every axis, in the order of `AXES`."""
    return {axis: importlib.import_module(f"models.quality.axes.{axis}").AXIS for axis in AXES}
