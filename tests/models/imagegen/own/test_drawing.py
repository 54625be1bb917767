"""Samplers, guidance and the committed version's drawings."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import committed
import numpy as np
import pytest
import torch
from diffusion_cases import Oracle, encoder, photos
from torch import Tensor

from configs.errors import VitrinaError
from models import family
from models.imagegen.answers import SAMPLERS, STYLES, Cancelled, Prompt, Sampler
from models.imagegen.codec.block import BlockCodec
from models.imagegen.config import CodecConfig, DiffusionConfig, PriorConfig
from models.imagegen.own.pipeline import ProductImagePipeline, Told, load, save
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.task import scheduler_of
from models.imagegen.predictor import ImagegenPredictor

SIZE = (32, 32)


@pytest.fixture(scope="module")
def knowing() -> tuple[ProductImagePipeline, Tensor]:
    """A pipeline whose network knows two images, and their latents."""
    pixels = photos(40)
    codec = BlockCodec.fit([pixels], CodecConfig(coefficients=4))
    latents = codec.encode(pixels)
    prior = RidgePrior(6, 6, [(*SIZE, 4, 4, 4)])
    prior.fit(SIZE, torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), dict.fromkeys(STYLES, latents), PriorConfig())
    return ProductImagePipeline(Oracle(latents[:2]), encoder(), codec, prior, scheduler_of(DiffusionConfig())), latents[:2]


def told(count: int = 2) -> Told:
    features = torch.randn(count, 6, generator=torch.Generator().manual_seed(1))
    return Told(torch.ones(count, 3, dtype=torch.int64), features, torch.zeros(count, dtype=torch.int64), torch.ones(count) > 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [10, 100])
def test_a_network_that_knows_the_image_draws_it(
    knowing: tuple[ProductImagePipeline, Tensor], sampler: Sampler, steps: int
) -> None:
    pipeline, latents = knowing
    drawn = pipeline(told(), told(), SIZE, steps, 1.0, sampler, [5, 6])
    assert (pipeline.codec.encode(drawn) - pipeline.codec.encode(pipeline.codec.decode(latents))).abs().max() < 0.02


def test_watch_counts_steps_and_ends_the_drawing(knowing: tuple[ProductImagePipeline, Tensor]) -> None:
    pipeline, seen = knowing[0], list[tuple[int, int]]()
    pipeline(told(), told(), SIZE, 10, 1.0, "ddim", [1, 2], lambda done, steps: seen.append((done, steps)))
    assert seen == [(step, 10) for step in range(1, 11)]

    def leave(done: int, steps: int) -> None:
        if done == 3:
            raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        pipeline(told(), told(), SIZE, 10, 1.0, "ddim", [1, 2], leave)


@pytest.fixture(scope="module")
def version() -> Any:
    return family.load("imagegen", committed.bundle("imagegen"), "cpu")


PROMPT = Prompt("Kestrel Men Blue Jeans", steps=10, seed=11)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_alone_and_among_candidates(version: ImagegenPredictor) -> None:
    [several] = version.predict([replace(PROMPT, candidates=3)])
    assert sorted(picture.seed for picture in several.pictures) == [11, 12, 13]
    scores = [picture.score.overall for picture in several.pictures]
    assert scores == sorted(scores, reverse=True)
    for picture in several.pictures:
        [again] = version.predict([replace(PROMPT, seed=picture.seed)])
        assert np.array_equal(again.best.pixels, picture.pixels)
    assert not np.array_equal(several.pictures[0].pixels, several.pictures[1].pixels)


@pytest.mark.parametrize(
    "change",
    [{"text": "Pico Women Red Dress"}, {"style": "vintage"}, {"negative": "red dress"}, {"guidance": 6.0}, {"sampler": "ddim"}],
)
def test_every_wish_changes_the_image(version: ImagegenPredictor, change: dict[str, Any]) -> None:
    [plain], [other] = version.predict([PROMPT]), version.predict([replace(PROMPT, **change)])
    assert not np.array_equal(plain.best.pixels, other.best.pixels)


def test_candidates_are_counted_together(version: ImagegenPredictor) -> None:
    seen = list[tuple[int, int]]()
    version.predict([replace(PROMPT, candidates=2, watch=lambda done, steps: seen.append((done, steps)))])
    assert seen == [(step, 20) for step in range(1, 21)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": "  "}, "the prompt says nothing"),
        ({"size": (65, 64)}, "size 65x64 is not offered; allowed: 64x64"),
        ({"guidance": float("nan")}, "guidance nan is not allowed; allowed: 1 to 20"),
        ({"guidance": 0.5}, "guidance 0.5 is not allowed"),
        ({"steps": 9}, "9 steps are not allowed; allowed: 10 to 100"),
        ({"steps": 101}, "101 steps are not allowed"),
        ({"candidates": 9}, "9 candidates are not allowed; allowed: 1 to 8"),
        ({"style": "cubist"}, "style 'cubist' is not known; allowed: photorealistic, artistic, vintage, luxury"),
        ({"sampler": "euler"}, "sampler 'euler' is not known; allowed: ddim, dpm-solver"),
        ({"text": "красная рубашка"}, r"knows no word of the prompt \(красная, рубашка\)"),
        ({"text": "नीली साड़ी"}, r"knows no word of the prompt \(नीली, साड़ी\)"),
        ({"text": "红色连衣裙"}, r"knows no word of the prompt \(红色连衣裙\)"),
        ({"text": "👗🔴 42 x"}, r"knows no word of the prompt; use words"),
    ],
)
def test_what_is_not_offered_is_refused_in_one_line(version: ImagegenPredictor, change: dict[str, Any], said: str) -> None:
    with pytest.raises(VitrinaError, match=said):
        version.predict([replace(PROMPT, **change)])


def test_words_that_are_not_known_are_told(version: ImagegenPredictor) -> None:
    [drawing] = version.predict([replace(PROMPT, text="blue jeans for Zaphod")])
    assert drawing.unknown_words == ("zaphod",)


def test_a_long_prompt_is_read_as_far_as_it_goes(version: ImagegenPredictor) -> None:
    [drawing, short] = version.predict([replace(PROMPT, text=text) for text in ("blue jeans " * 900, "blue jeans")])
    assert drawing.best.pixels.shape == (64, 64, 3)
    assert drawing.cut and not short.cut


def test_a_saved_pipeline_is_the_same(version: ImagegenPredictor, tmp_path: Path) -> None:
    pipeline: Any = version.painter.pipeline  # type: ignore[attr-defined]
    save(pipeline, tmp_path / "pipeline")
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.pt"))
    again = load(tmp_path / "pipeline", "block")
    for name in ("unet", "encoder", "codec", "prior"):
        one, other = getattr(pipeline, name).state_dict(), getattr(again, name).state_dict()
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("file", ["unet/diffusion_pytorch_model.safetensors", "prior/config.json", "model_index.json"])
def test_a_damaged_pipeline_is_refused_in_one_line(tmp_path: Path, file: str) -> None:
    shutil.copytree(committed.bundle("imagegen") / "pipeline", tmp_path / "pipeline")
    (tmp_path / "pipeline" / file).write_bytes(b"{")
    with pytest.raises(VitrinaError, match="holds no pipeline of this version") as caught:
        load(tmp_path / "pipeline", "block")
    assert "\n" not in str(caught.value)
