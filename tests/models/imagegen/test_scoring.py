"""The score of an image, with the committed product bundle as the towers."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import ValidationError
from safetensors.numpy import load, save

from catalog.catalogue import Catalogue, records_of
from catalog.images import DecodedPhoto, sharpness
from catalog.listing import Listing
from configs.errors import VitrinaError
from models.imagegen.answers import Score, Style
from models.imagegen.config import ScoreConfig
from models.imagegen.photos import Pixels, fitted
from models.imagegen.scoring.frame import framed
from models.imagegen.scoring.light import Light, white_background
from models.imagegen.scoring.memory import COPY, Memory, ink, thumbnail
from models.imagegen.scoring.scorer import Scorer, Shown
from models.imagegen.styles import looks
from models.product.predictor import ProductPredictor

SIZE = (64, 64)
CONFIG = ScoreConfig(compared=80)


def shown(catalogue: Catalogue, first: int, last: int) -> list[Shown]:
    rows = records_of(catalogue.products().iloc[first:last])
    found = [(row, catalogue.images.get(row["product_id"])) for row in rows]
    return [Shown(row["product_id"], row["title"] or "", photo) for row, photo in found if photo is not None]


@pytest.fixture(scope="module")
def training(product_catalogue: Catalogue) -> list[Shown]:
    return shown(product_catalogue, 0, 300)


@pytest.fixture(scope="module")
def validation(product_catalogue: Catalogue) -> list[Shown]:
    return shown(product_catalogue, 300, 460)


@pytest.fixture(scope="module")
def unseen(product_catalogue: Catalogue) -> list[Shown]:
    return shown(product_catalogue, 460, 540)


@pytest.fixture(scope="module")
def scorer(predictor: ProductPredictor, training: list[Shown], validation: list[Shown]) -> Scorer:
    return Scorer.fit(predictor, training, validation, CONFIG, SIZE)


@pytest.fixture(scope="module")
def images(unseen: list[Shown]) -> list[Pixels]:
    return [fitted(one.photo, SIZE) for one in unseen]


def titles(products: list[Shown]) -> list[str]:
    return [one.title for one in products]


@pytest.fixture(scope="module")
def right(scorer: Scorer, unseen: list[Shown], images: list[Pixels]) -> list[Score]:
    return scorer.score(titles(unseen), images)


def rated(scorer: Scorer, images: list[Pixels], change: Callable[[Image.Image], Image.Image]) -> list[Score]:
    changed = [np.asarray(change(Image.fromarray(image)), dtype=np.uint8) for image in images]
    return scorer.score(["a shirt"] * len(images), changed)


def test_all_shares_lie_between_0_and_1(right: list[Score], scorer: Scorer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    flat = [np.full((64, 64, 3), value, dtype=np.uint8) for value in (0, 128, 255)]
    for one in [*right, *scorer.score(["noise"] * 6, list(noise)), *scorer.score(["nothing"] * 3, flat)]:
        shares = (one.overall, one.agreement, one.sharpness, one.exposure, one.white_background, one.nearest.distance)
        assert all(0 <= share <= 1 for share in shares), one


def test_overall_is_the_weighted_mean(right: list[Score]) -> None:
    for one in right:
        parts = 0.6 * one.agreement + 0.15 * one.sharpness + 0.1 * one.exposure + 0.1 * one.white_background
        assert one.overall == pytest.approx(parts + 0.05 * (not one.nearest.memorised), abs=1e-6)


def test_weights_need_not_add_up(scorer: Scorer, unseen: list[Shown], images: list[Pixels]) -> None:
    none = dict.fromkeys(("sharpness", "exposure", "white_background", "novelty"), 0.0)
    alone = replace(scorer, config=ScoreConfig(agreement=0.2, **none))
    assert all(one.overall == pytest.approx(one.agreement) for one in alone.score(titles(unseen)[:5], images[:5]))
    with pytest.raises(ValidationError, match="all weights of the score are 0"):
        ScoreConfig(agreement=0.0, **none)


def test_a_photo_agrees_with_its_own_title(scorer: Scorer, unseen: list[Shown], images: list[Pixels], right: list[Score]) -> None:
    """Against the photo of a product of another type."""
    kinds = [one.shows and one.shows[0] for one in right]
    other = [next(j for j in range(i + 1, i + len(kinds)) if kinds[j % len(kinds)] != kind) for i, kind in enumerate(kinds)]
    wrong = scorer.score(titles(unseen), [images[j % len(images)] for j in other])
    assert np.mean([a.agreement > b.agreement for a, b in zip(right, wrong, strict=True)]) >= 0.9, "0.99 was measured"
    assert np.mean([a.overall > b.overall for a, b in zip(right, wrong, strict=True)]) >= 0.85, "0.97 was measured"


def test_agreement_is_linear_between_others_and_own(scorer: Scorer, images: list[Pixels]) -> None:
    [found] = scorer.inspector.inspect([Listing(title="Red Dress", image=DecodedPhoto(images[0]))])
    scale = scorer.scale
    for share in (-0.5, 0.0, 0.25, 1.0, 1.2):
        cosine = scale.others + share * (scale.own - scale.others)
        assert scorer.agreement(replace(found, cosines={("title", "image"): cosine})) == pytest.approx(min(max(share, 0), 1))


def test_a_text_that_says_nothing_agrees_with_nothing(scorer: Scorer, images: list[Pixels]) -> None:
    assert scorer.score(["<p></p>"], images[:1])[0].agreement == 0.0


def test_it_tells_what_the_towers_see(scorer: Scorer, images: list[Pixels], right: list[Score]) -> None:
    photo = DecodedPhoto(framed(images[0], scorer.scale.aspect))
    [found] = scorer.inspector.inspect([Listing(image=photo)])
    best = int(found.types["image"].argmax())
    assert right[0].shows == (scorer.inspector.type_labels[best], pytest.approx(float(found.types["image"][best]), abs=1e-5))


@pytest.mark.parametrize("radius", [0.7, 1.5, 3.0])
def test_a_blurred_image_is_no_sharper(scorer: Scorer, images: list[Pixels], right: list[Score], radius: float) -> None:
    soft = rated(scorer, images, lambda image: image.filter(ImageFilter.GaussianBlur(radius)))
    assert all(a.sharpness <= b.sharpness for a, b in zip(soft, right, strict=True))
    assert np.mean([a.sharpness for a in soft]) < np.mean([b.sharpness for b in right]) - 0.1


@pytest.mark.parametrize("factor", [0.8, 0.5, 0.2, 0.05])
def test_a_darker_image_is_no_better_exposed(scorer: Scorer, images: list[Pixels], right: list[Score], factor: float) -> None:
    """Images that are not too light: those get better first."""
    dark = rated(scorer, images, lambda image: image.point(lambda value: value * factor))
    fine = [i for i, image in enumerate(images) if image.mean() / 255 <= scorer.scale.light.high]
    assert len(fine) > 40 and all(dark[i].exposure <= right[i].exposure for i in fine)


def test_exposure_by_hand() -> None:
    light = Light(low=0.5, high=0.9)
    levels = [(0, 0.0), (64, 2 * 64 / 255), (128, 1.0), (204, 1.0), (242, (1 - 242 / 255) / 0.1), (255, 0.0)]
    for level, wanted in levels:
        assert light.exposure(np.full((8, 8, 3), level, dtype=np.uint8)) == pytest.approx(wanted, abs=1e-4)
    half = np.full((8, 8, 3), 255, dtype=np.uint8)
    half[:4] = 0
    assert light.exposure(half) == pytest.approx(0.5, abs=1e-4), "light enough, and half of it is black"


def test_white_background_by_hand() -> None:
    image = np.full((64, 64, 3), 255, dtype=np.uint8)
    image[20:40, 20:40] = 0
    assert white_background(image) == 1.0, "what is inside is no background"
    image[:, :32] = (255, 255, 200)
    assert white_background(image) == pytest.approx(0.5)
    image[:] = 234
    assert white_background(image) == 0.0


def test_training_photos_are_memorised_even_when_soft(scorer: Scorer, training: list[Shown]) -> None:
    photos = [fitted(one.photo, SIZE) for one in training[:60]]
    for change in (lambda image: image, lambda image: image.filter(ImageFilter.GaussianBlur(1))):
        found = rated(scorer, photos, change)
        assert np.mean([one.nearest.memorised for one in found]) >= 0.9
    same = [scorer.memory.nearest([framed(photo, scorer.scale.aspect)])[0] for photo in photos]
    assert max(distance for _, distance in same) < 1e-4


def test_unseen_photos_are_seldom_memorised(scorer: Scorer, right: list[Score]) -> None:
    assert np.mean([one.nearest.memorised for one in right]) < 0.1


def test_the_nearest_photo_is_named_by_its_product() -> None:
    red, blue = (np.full((8, 8, 3), colour, dtype=np.uint8) for colour in ((200, 30, 30), (30, 30, 200)))
    memory = Memory(("7", "B-2"), np.stack([thumbnail(red), thumbnail(blue)]), 0.01)
    [(first, near), (second, far)] = memory.nearest([red, np.full((20, 30, 3), (40, 30, 190), dtype=np.uint8)])
    assert (first, second) == ("7", "B-2") and near < 1e-5 < far < 0.05
    a, b = np.array([255.5 - 40, 225.5, 65.5]), np.array([225.5, 225.5, 55.5])
    assert far == pytest.approx(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


def test_many_photos_are_searched_in_blocks() -> None:
    rng = np.random.default_rng(0)
    memory = Memory(tuple(str(i) for i in range(9000)), rng.integers(0, 256, (9000, 192), dtype=np.uint8), 0.01)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = (ink(memory.thumbnails) @ ink(thumbnail(image)[None]).T)[:, 0]
    assert memory.nearest([image])[0] == (str(int(whole.argmax())), pytest.approx(1 - float(whole.max()), abs=1e-6))


def test_the_bound_is_a_quantile_and_never_less_than_a_copy() -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(20)]
    memory = Memory(tuple("abcdefghij"), np.stack([thumbnail(photo) for photo in photos[:10]]), 0.0)
    distances = sorted(distance for _, distance in memory.nearest(photos[10:]))
    assert distances[0] > COPY and memory.bounded(photos[10:], 0.0).bound == pytest.approx(distances[0])
    assert memory.bounded(photos, 0.25).bound == COPY, "half of them are photos of its own"


def test_the_background_beside_a_photo_is_taken_off() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    photo[:, 0] = photo[:, -1] = 250
    assert np.array_equal(framed(fitted(DecodedPhoto(photo), SIZE), 0.75), photo)
    tall = np.ascontiguousarray(photo.transpose(1, 0, 2))
    tall[0] = tall[-1] = 250
    assert np.array_equal(framed(fitted(DecodedPhoto(tall), SIZE), 4 / 3), tall)


def test_what_is_wider_than_photos_stays() -> None:
    image = np.full((64, 64, 3), 255, dtype=np.uint8)
    image[20:40, 4:52] = 0
    assert framed(image, 0.5).shape == (64, 56, 3), "the black begins 4 pixels from the edge"
    assert framed(np.full((64, 64, 3), 255, dtype=np.uint8), 0.5).shape == (64, 32, 3)


def test_a_larger_drawing_is_judged_like_the_same_small(
    scorer: Scorer, unseen: list[Shown], images: list[Pixels], right: list[Score]
) -> None:
    large = [
        np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.NEAREST), dtype=np.uint8) for image in images[:20]
    ]
    found = scorer.score(titles(unseen)[:20], large)
    for a, b in zip(found, right[:20], strict=True):
        assert (a.nearest.product_id, a.white_background) == (b.nearest.product_id, pytest.approx(b.white_background, abs=0.02))
        assert a.agreement == pytest.approx(b.agreement, abs=0.15)


@pytest.mark.parametrize("style", ["artistic", "vintage", "luxury"])
def test_an_image_in_a_style_is_judged_plainly(
    scorer: Scorer, unseen: list[Shown], images: list[Pixels], right: list[Score], style: Style
) -> None:
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    styled = list((looks()[style].render(pixels) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    plainly = scorer.score(titles(unseen), styled, [style] * len(styled))
    as_it_is = scorer.score(titles(unseen), styled)

    def mean(scores: list[Score], what: str) -> float:
        return float(np.mean([getattr(one, what) for one in scores]))

    assert mean(as_it_is, "white_background") < 0.3 < mean(right, "white_background") - 0.1 < mean(plainly, "white_background")
    assert mean(plainly, "agreement") > mean(right, "agreement") - 0.15
    assert mean(plainly, "agreement") > mean(as_it_is, "agreement")


def test_it_is_the_same_after_it_was_stored(
    scorer: Scorer, unseen: list[Shown], images: list[Pixels], right: list[Score]
) -> None:
    arrays, told = scorer.state()
    back = Scorer.restore(load(save(arrays)), json.loads(json.dumps(told)), scorer.inspector, CONFIG)
    assert back.score(titles(unseen), images) == right
    with pytest.raises(ValueError, match="thumbnails of"):
        Scorer.restore(arrays, told | {"ids": told["ids"][1:]}, scorer.inspector, CONFIG)


def test_the_same_score_whoever_is_scored_beside_it(
    scorer: Scorer, unseen: list[Shown], images: list[Pixels], right: list[Score]
) -> None:
    [alone] = scorer.score(titles(unseen)[3:4], images[3:4])
    assert alone.overall == pytest.approx(right[3].overall, abs=1e-4) and scorer.score([], []) == []


def test_it_needs_photos_and_titles(predictor: ProductPredictor, training: list[Shown], validation: list[Shown]) -> None:
    with pytest.raises(VitrinaError, match="no training product has a photo"):
        Scorer.fit(predictor, [], validation[:5], CONFIG, SIZE)
    with pytest.raises(VitrinaError, match="no validation product has a photo"):
        Scorer.fit(predictor, training[:5], [], CONFIG, SIZE)
    with pytest.raises(VitrinaError, match=r"two validation products with a title .* there are 1"):
        Scorer.fit(predictor, training[:5], [validation[0], replace(validation[1], title="")], CONFIG, SIZE)


def test_towers_that_tell_nothing_are_refused(
    predictor: ProductPredictor, training: list[Shown], validation: list[Shown]
) -> None:
    same: NDArray[np.uint8] = np.full((40, 30, 3), 200, dtype=np.uint8)
    alike = [replace(one, photo=DecodedPhoto(same), title="Shirt") for one in validation[:6]]
    with pytest.raises(VitrinaError, match="product does not tell which title belongs to a photo"):
        Scorer.fit(predictor, training[:5], alike, CONFIG, SIZE)


def test_sharpness_is_the_share_of_less_sharp_photos(scorer: Scorer, training: list[Shown]) -> None:
    photos = [fitted(one.photo, SIZE) for one in training[:100]]
    middle = sorted(photos, key=lambda photo: sharpness(framed(photo, scorer.scale.aspect)))
    found = [one.sharpness for one in scorer.score(["x"] * 100, middle)]
    assert found == sorted(found) and 0.3 < float(np.median(found)) < 0.7
