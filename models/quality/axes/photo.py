"""The photo as a photo: sharp, bright, of some contrast and size."""

import numpy as np

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, missing
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    photo = seen.photo
    if photo is None:
        return missing("image", "photo", seen, memory)
    light = f"brightness {photo.brightness:.2f}, contrast {photo.contrast:.2f}"
    told = f"Sharpness {photo.sharpness:.2f}, {light}, {photo.pixels} pixels."
    measures = {
        "sharpness": round(photo.sharpness, 4),
        "brightness": round(photo.brightness, 4),
        "contrast": round(photo.contrast, 4),
        "pixels": photo.pixels,
    }
    values = (float(np.log(photo.sharpness + 1e-3)), photo.brightness, photo.contrast, float(np.log(photo.pixels)))
    return Reading(values, evidence=(Evidence(told, measures),))


AXIS = Reader(
    name="photo",
    label="Photo",
    evidence=(("sharpness", 1.0), ("brightness", 0.5), ("contrast", 0.5), ("size", 0.25)),
    read=read,
    todo="Take a sharper, brighter photo.",
    absent="Add a photo of this product.",
)
