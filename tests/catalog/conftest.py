import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.sample import write_sample


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """First delivery of a small sample shop."""
    return Catalogue.open(write_sample(tmp_path_factory.mktemp("shop") / "first", products=240))


@pytest.fixture(scope="session")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Its second delivery."""
    return Catalogue.open(write_sample(tmp_path_factory.mktemp("shop") / "second", products=240, drift=True))


@pytest.fixture(scope="session")
def myntra(real_data: Path) -> Catalogue:
    return Catalogue.open(real_data / "myntra")


@pytest.fixture
def photo() -> bytes:
    """A 30 × 40 (width × height) JPEG, red on top and blue below."""
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[:20, :, 0] = 255
    pixels[20:, :, 2] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
