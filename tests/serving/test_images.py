"""A request's photo is decoded once: the check, the model and monitoring read the same pixels."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from catalog import images
from catalog.images import LARGEST_SIDE, decode
from catalog.listing import Listing
from database.predictions import newest_predictions
from models.product.summary import summarise
from serving.app import create_app
from serving.images import decoded
from tests.serving.conftest import Predictor, Source, photo, wait_until


def scene(kind, size):
    """An encoded photo that no two places look alike in."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * y / height, 255 * x / width, 120 + 100 * np.sin(y / 9) * np.cos(x / 7)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


class Looking(Predictor):
    """Reads photos as the product model does."""

    def predict(self, listings):
        assert all(decode(listing.image, (80, 64)).shape == (80, 64, 3) for listing in listings)
        return super().predict(listings)


@pytest.fixture
def opened(monkeypatch):
    """Photos that were decoded."""
    found, open_image = [], Image.open

    def counted(*arguments, **named):
        found.append(arguments)
        return open_image(*arguments, **named)

    monkeypatch.setattr(images.Image, "open", counted)
    return found


def test_a_photo_is_decoded_once_and_what_is_logged_is_the_same(settings, config, opened):
    data = scene("JPEG", (60, 80))
    with TestClient(create_app(settings, config, Source(predictors={1: Looking(1)}, shops={1: None}))) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        body = {"image": base64.b64encode(data).decode()}
        assert client.post("/v1/multimodal/analyze", json=body).status_code == 200
        wait_until(lambda: newest_predictions(settings.database_url, "product", 10))
        assert len(opened) == 1
        [row] = newest_predictions(settings.database_url, "product", 10)
        assert client.post("/v1/quality/assess", files={"image": ("a.jpg", data)}).status_code == 200
        wait_until(lambda: len(newest_predictions(settings.database_url, "product", 10)) == 2)
        assert len(opened) == 2
    [prediction] = Predictor(1).predict([Listing(image=data)])
    before = summarise(Listing(image=data), prediction)
    assert row.inputs["has_image"]
    assert row.inputs["image_brightness"] == before["image_brightness"]
    assert row.inputs["image_contrast"] == before["image_contrast"]


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (60, 80)), ("JPEG", (127, 150)), ("PNG", (500, 512)), ("WEBP", (300, 200))])
@pytest.mark.parametrize("wanted", [(80, 64), (32, 32)])
def test_the_model_reads_what_it_would_read_from_the_file(kind, size, wanted):
    data = scene(kind, size)
    assert np.array_equal(decode(decoded(data, 1_000_000), wanted), decode(data, wanted))


@pytest.mark.parametrize(
    ("size", "shape"), [((2000, 1000), (256, 512, 3)), ((512, 512), (512, 512, 3)), ((1, 2000), (512, 1, 3))]
)
def test_a_photo_of_many_pixels_takes_little_memory(size, shape):
    pixels = decoded(photo("PNG", size), 10_000_000).pixels
    assert pixels.shape == shape
    assert pixels.nbytes <= 3 * LARGEST_SIDE**2


@pytest.mark.slow
def test_a_trained_model_answers_the_same(trained_bundle):
    from models.product.predictor import ProductPredictor

    predictor = ProductPredictor.load(trained_bundle, "cpu")
    data = scene("JPEG", (60, 80))
    [sent], [served] = (
        predictor.predict([Listing(title="Nordal blue shirt", image=image)]) for image in (data, decoded(data, 1_000_000))
    )
    assert served.categories == sent.categories
    assert served.quality == sent.quality
    assert np.array_equal(served.embedding, sent.embedding)
