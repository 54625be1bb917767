"""The product model on pretrained encoders, from the folder that it starts from to a bundle that needs it no more."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import product_batches
import pytest
import torch
from bundles import tiny_catalogue, tiny_config
from safetensors.torch import load_file
from tiny_encoders import save_bert, save_resnet, save_vit
from torch import Tensor, nn

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.errors import VitrinaError
from models.pretrained.plans import EncoderStart
from models.product import bundle
from models.product.cleaning import clean, clean_review
from models.product.config import ProductModelConfig, ProductRunConfig
from models.product.family import FAMILY
from models.product.model import ProductModel
from models.product.predictor import ProductPredictor
from models.product.task import ProductTask

pytestmark = pytest.mark.trains

PHOTO = {"vit": "all-linear", "resnet": ("convolution",)}
"""Where LoRA puts its adapters."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("starts")
    return {name: save(root / name) for name, save in (("bert", save_bert), ("vit", save_vit), ("resnet", save_resnet))}


def starts(folders: dict[str, Path], photo: str, mode: Any) -> dict[str, EncoderStart]:
    return {
        "text_encoder": EncoderStart(init_from=str(folders["bert"]), mode=mode),
        "image_encoder": EncoderStart(init_from=str(folders[photo]), mode=mode, lora_targets=PHOTO[photo]),
    }


def run_config(encoders: dict[str, EncoderStart]) -> ProductRunConfig:
    config = tiny_config(epochs=2)
    return config.model_copy(update={"model": config.model.model_copy(update=encoders)})


def built(encoders: dict[str, EncoderStart], seed: int = 0) -> ProductModel:
    """With its start, for the ids of `product_batches`."""
    config = product_batches.small(**{name: start.model_dump() for name, start in encoders.items()})
    torch.manual_seed(seed)
    model = ProductModel(config, product_batches.SIZES, product_batches.PATHS, *bundle.plans(config))
    model.load_start()
    return model


def batch(seed: int = 0) -> Any:
    """As `product_batches.batch`, with ids that the tiny BERT knows."""
    found = product_batches.batch(seed=seed)
    listings = replace(found.listings, title=found.listings.title % 15 + 1, description=found.listings.description % 15 + 1)
    reviews = replace(found.reviews, title=found.reviews.title % 15 + 1, text=found.reviews.text % 15 + 1)
    return replace(found, listings=listings, reviews=reviews)


def train(folders: dict[str, Path], folder: Path, photo: str, mode: str) -> Path:
    catalogue = Catalogue.open(tiny_catalogue(folder / "catalogue", products=100, reviews=40))
    config = run_config(starts(folders, photo, mode))
    split = FAMILY.split(catalogue, config)
    return FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, folder / "work")


def answers(folder: Path) -> list[Any]:
    predictor = ProductPredictor.load(folder, "cpu")
    pixels = np.full((48, 32, 3), 90, dtype=np.uint8)
    listings = [clean(Listing(title="red cotton shirt", description="a red shirt for men")), clean(Listing(title="blue watch"))]
    with torch.inference_mode():
        outputs = predictor.network(predictor.encoders.encode(listings, [pixels, None], predictor.config.model))
    opinion = predictor.predict_reviews([clean_review("red", "it is a green dress")])
    return [*outputs.values(), opinion]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "photo"), [("frozen", "resnet"), ("lora", "vit"), ("full", "resnet")])
def test_a_bundle_trained_from_a_start_needs_it_no_more(folders: dict[str, Path], tmp_path: Path, mode: str, photo: str) -> None:
    own = {name: Path(shutil.copytree(folders[name], tmp_path / name)) for name in ("bert", photo)}
    trained = train(own, tmp_path, photo, mode)
    before = answers(trained)
    weights = load_file(trained / "model.safetensors")
    for tower, name in (("text", "bert"), ("photo", photo)):
        changed, new = compare(weights, f"{tower}.encoder.encoder.", load_file(own[name] / "model.safetensors"))
        assert changed == (mode == "full")
        assert new == (mode == "lora")
    for folder in own.values():
        shutil.rmtree(folder)
    settings = bundle.load_config(trained)
    assert settings.text_plan is not None
    assert settings.image_plan is not None
    for one, other in zip(before, answers(trained), strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other


def compare(weights: dict[str, Tensor], prefix: str, start: dict[str, Tensor]) -> tuple[bool, bool]:
    """Whether any weight or statistic differs from the start, and whether adapters have learnt something."""
    inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    common = {name.replace(".base_layer", ""): value for name, value in inside.items()}
    common = {name: value for name, value in common.items() if name in start}
    assert len(common) > 5
    changed = any(not torch.equal(value, start[name]) for name, value in common.items())
    return changed, any("lora_B" in name and bool(value.any()) for name, value in inside.items())


@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
def test_a_training_step_reaches_what_trains_and_nothing_else(folders: dict[str, Path], mode: str) -> None:
    model = built(starts(folders, "resnet", mode))
    for layer in model.readout.layers:
        nn.init.normal_(layer.out.weight, std=0.2)  # it begins at 0, and lets no gradient through
    task = ProductTask(model).train()
    task.training_loss(batch(), torch.Generator().manual_seed(0))["loss"].backward()
    for tower in (model.text, model.photo):
        inside = dict(tower.encoder.encoder.named_parameters())
        reached = {name for name, p in inside.items() if p.grad is not None}
        assert reached == {name for name, p in inside.items() if p.requires_grad}
        assert bool(reached) == (mode != "frozen")
        assert all("lora_" in name for name in reached) == (mode != "full")
        assert all(p.grad is not None and p.grad.any() for p in tower.encoder.project.parameters())
        assert any(module.training for module in tower.encoder.encoder.modules()) == (mode != "frozen")
    assert not any(m.training for m in task.eval().modules())


@pytest.mark.slow
def test_loss_falls_from_a_start(folders: dict[str, Path], seed: int, measured: Callable[[str, float], float]) -> None:
    task = ProductTask(built(starts(folders, "vit", "lora"), seed)).train()
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(15):
        loss = task.training_loss(batch(seed), torch.Generator().manual_seed(0))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert measured("fall in 15 steps", losses[0] - losses[-1]) > 5  # 10.4–15.1


def test_a_listing_is_read_the_same_alone_and_among_longer_ones(folders: dict[str, Path]) -> None:
    model = built(starts(folders, "vit", "frozen")).eval()
    inputs = batch().listings
    short = replace(inputs, description=inputs.description[:, :4])
    longer = replace(inputs, description=nn.functional.pad(short.description, (0, 7)))
    with torch.no_grad():
        assert torch.allclose(model(short)["embedding"], model(longer)["embedding"], atol=1e-5)


def test_parts_that_nobody_has_are_read_as_nothing(folders: dict[str, Path]) -> None:
    model = built(starts(folders, "vit", "frozen")).eval()
    one = batch()
    for shown in (("title",), ("image",), ("price",)):
        with torch.no_grad():
            assert torch.isfinite(model(one.listings.only(shown))["embedding"]).all()
    untitled = replace(one.reviews, title=one.reviews.title[:, :0])
    nobody = type(untitled)(*(getattr(untitled, name)[:0] for name in ("title", "text", "prior", "recommended", "rating")))
    for reviews in (untitled, nobody):
        with torch.no_grad():
            logit, rating = model.forward_reviews(reviews).values()
        assert logit.shape == rating.shape == (len(reviews),)
        assert torch.isfinite(logit).all()


def test_checkpointing_reaches_the_encoders(folders: dict[str, Path]) -> None:
    from transformers.modeling_layers import GradientCheckpointingLayer

    model = built(starts(folders, "vit", "full"))
    task = ProductTask(model).train()
    passes: list[int] = []
    for tower in (model.text, model.photo):
        layer = next(m for m in tower.modules() if isinstance(m, GradientCheckpointingLayer))
        next(m for m in layer.modules() if isinstance(m, nn.Linear)).register_forward_pre_hook(lambda *_: passes.append(1))
    task.checkpoint_activations()
    task.training_loss(batch(), torch.Generator().manual_seed(0))["loss"].backward()
    # Title and description, title and text of reviews, and photos: each in the forward and again in the backward pass.
    assert len(passes) == 2 * 5
    assert list(task.compile_parts())[:2] == [model.text.encoder, model.photo]


def test_a_start_that_does_not_fit_is_refused_before_anything_is_trained(folders: dict[str, Path], tmp_path: Path) -> None:
    long = ProductModelConfig(preset="tiny", text_encoder=EncoderStart(init_from=str(folders["bert"])))
    with pytest.raises(VitrinaError, match="reads at most 20 tokens, 48 are asked for"):
        bundle.plans(long)
    with pytest.raises(VitrinaError, match="there is no folder"):
        train({"bert": tmp_path / "nowhere", "vit": folders["vit"]}, tmp_path, "vit", "full")
    assert not (tmp_path / "work" / "bundle").exists()
