"""Styles change the picture and not the product."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from catalog.catalogue import Catalogue
from catalog.images import DecodedPhoto
from catalog.listing import Listing
from models.imagegen.answers import STYLES, Style
from models.imagegen.effects import background, blurred, border_colour, grown, luma
from models.imagegen.photos import fitted
from models.imagegen.styles import looks
from models.product.predictor import ProductPredictor

OTHERS = [style for style in STYLES if style != "photorealistic"]


def tensors(photos: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float() / 255


def arrays(pixels: Tensor) -> list[np.ndarray]:
    return list((pixels.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy())


def photos_of(catalogue: Catalogue, count: int, size: tuple[int, int]) -> Tensor:
    found = [catalogue.images.get(product_id) for product_id in catalogue.products()["product_id"].head(5 * count)]
    return tensors([fitted(photo, size) for photo in found if photo is not None][:count])


@pytest.fixture(scope="module")
def drawn(product_catalogue: Catalogue) -> Tensor:
    return photos_of(product_catalogue, 60, (48, 64))


def square(side: int, inner: tuple[float, float, float], outer: float = 1.0) -> Tensor:
    """A square in the middle, a third of the side, on a grey ground."""
    pixels = torch.full((1, 3, side, side), outer)
    pixels[..., side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = torch.tensor(inner).view(3, 1, 1)
    return pixels


def test_a_style_is_a_file_that_bears_its_name() -> None:
    assert tuple(looks()) == get_args(Style)
    assert all(look.name == style and "{prompt}" in look.template for style, look in looks().items())


def test_braces_of_a_prompt_stay() -> None:
    look = looks()["vintage"]
    assert look.worded("{0} {prompt} shoe").startswith("{0} {prompt} shoe, vintage")


@pytest.mark.parametrize("style", STYLES)
def test_a_photo_is_rendered_by_itself_and_always_alike(style: Style, drawn: Tensor) -> None:
    look = looks()[style]
    together, before = look.render(drawn[:8]), drawn.clone()
    assert together.shape == drawn[:8].shape and together.min() >= 0 and together.max() <= 1
    assert torch.equal(torch.cat([look.render(drawn[i : i + 1]) for i in range(8)]), together)
    assert torch.equal(drawn, before)
    assert look.plain(together).shape == together.shape and look.plain(together).min() >= 0 and look.plain(together).max() <= 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(16, 16), (48, 64), (128, 96)])
def test_any_size_goes(style: Style, size: tuple[int, int]) -> None:
    pixels = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    for found in (looks()[style].render(pixels), looks()[style].plain(pixels)):
        assert found.shape == pixels.shape and torch.isfinite(found).all()


@pytest.mark.parametrize("style", STYLES)
def test_a_larger_photo_looks_the_same(style: Style) -> None:
    small = square(66, (0.8, 0.2, 0.2))
    large = torch.nn.functional.interpolate(small, scale_factor=3)
    back = torch.nn.functional.avg_pool2d(looks()[style].render(large), 3)
    assert (back - looks()[style].render(small)).abs().mean() < 0.02


@pytest.mark.parametrize("style", OTHERS)
def test_the_picture_changes(style: Style, drawn: Tensor) -> None:
    changed = (looks()[style].render(drawn) - drawn).abs().mean(dim=(1, 2, 3))
    assert changed.min() > 0.03, "every photo; 0.05 and more were measured"


@pytest.mark.parametrize("style", OTHERS)
def test_the_product_stays_what_it_is(style: Style, drawn: Tensor, predictor: ProductPredictor) -> None:
    look = looks()[style]
    rendered = look.plain(look.render(drawn))

    def types(pixels: Tensor) -> np.ndarray:
        found = predictor.inspect([Listing(image=DecodedPhoto(photo)) for photo in arrays(pixels)])
        return np.array([one.types["image"].argmax() for one in found])

    assert (types(rendered) == types(drawn)).mean() >= 0.8, "0.88 and more were measured"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("colour", [(0.8, 0.2, 0.2), (0.2, 0.3, 0.8), (0.2, 0.6, 0.3), (0.1, 0.1, 0.1), (0.5, 0.5, 0.5)])
def test_the_product_keeps_its_colour(style: Style, colour: tuple[float, float, float]) -> None:
    look = looks()[style]
    middle = (..., slice(28, 36), slice(28, 36))
    rendered = look.render(square(64, colour))
    seen, wanted = rendered[middle].mean(dim=(0, 2, 3)), torch.tensor(colour)
    if max(colour) - min(colour) > 0.1:
        assert seen.argmax() == wanted.argmax(), "the strongest channel is the same"
    assert (look.plain(rendered)[middle].mean(dim=(0, 2, 3)) - wanted).abs().max() < 0.15


@pytest.mark.parametrize("style", STYLES)
def test_the_plain_ground_is_white_again(style: Style) -> None:
    look = looks()[style]
    plain = look.plain(look.render(square(64, (0.2, 0.3, 0.8))))
    assert plain[..., :8, :].min() > 0.95


def test_luxury_is_dark_around_the_product_and_not_in_it() -> None:
    white_in_red = square(64, (0.8, 0.2, 0.2))
    white_in_red[..., 30:34, 30:34] = 1.0
    rendered = looks()["luxury"].render(white_in_red)
    assert rendered[..., :4, :].max() < 0.5 < rendered[..., 30:34, 30:34].min(), "the white within is the product's"


def test_vintage_has_no_black_and_no_white() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    rendered = looks()["vintage"].render(ramp)
    assert rendered.min() > 0.05 and luma(rendered).max() < 0.95
    assert rendered[:, 0].mean() > rendered[:, 2].mean(), "warm"


def test_artistic_has_fewer_tones() -> None:
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 256, 256)
    steps = luma(looks()["artistic"].render(ramp))[0, 0, 128].diff().abs()
    even = luma(ramp)[0, 0, 128].diff().abs()
    assert (steps < 0.1 * even.mean()).float().mean() > 0.2, "flat where the photo is not"


def test_blurred_is_the_mean_of_a_square() -> None:
    planes = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(planes, [2] * 4, mode="replicate"), 5, stride=1)
    assert torch.allclose(blurred(planes, 2), wanted, atol=1e-5)


def test_grown_is_the_largest_of_a_square() -> None:
    planes = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(grown(planes, 2), torch.nn.functional.max_pool2d(planes, 5, stride=1, padding=2))


def test_the_background_is_what_the_border_shows() -> None:
    pixels = square(60, (0.3, 0.3, 0.3), outer=0.9)
    assert border_colour(pixels).flatten().tolist() == pytest.approx([0.9] * 3)
    found = background(pixels, border_colour(pixels))
    assert found[..., :20, :].min() == 1 and found[..., 20:40, 20:40].max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("style", OTHERS)
def test_real_products_keep_their_colour_and_form(style: Style, real_data: Path) -> None:
    """Within the product of 60 real photos, seen plainly: the mean colour, and how the brightness of its pixels goes together."""
    photos, look = photos_of(Catalogue.open(real_data / "myntra"), 60, (64, 64)), looks()[style]
    seen = look.plain(look.render(photos))
    product = background(photos, border_colour(photos)) < 0.5
    apart, together = [], []
    for photo, plain, inside in zip(photos, seen, product[:, 0], strict=True):
        apart.append(float((photo[:, inside].mean(dim=1) - plain[:, inside].mean(dim=1)).abs().max()))
        together.append(
            float(torch.corrcoef(torch.stack([luma(photo[None])[0, 0][inside], luma(plain[None])[0, 0][inside]]))[0, 1])
        )
    assert np.quantile(apart, 0.9) < 0.15 and np.median(apart) < 0.08
    assert np.median(together) > 0.7
