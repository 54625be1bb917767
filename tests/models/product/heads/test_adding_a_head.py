"""A head that is one class and one name in the configuration takes part in everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from bundles import tiny_catalogue, tiny_config
from numpy.typing import NDArray
from product_batches import PATHS, SIZES, batch, listings, small
from torch import Tensor, nn

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.schema import EvaluationConfig
from models.product.data import ListingDataset, Rows
from models.product.encoders import Encoders
from models.product.export import answer_names, listing_program
from models.product.graphs import INPUTS
from models.product.heads import HeadsConfig
from models.product.heads.head import Codec, Decoded, HeadConfig, HeadContext, ListingHead
from models.product.inputs import Inputs
from models.product.losses import mean
from models.product.model import ProductModel
from models.product.parts import WHOLE
from models.product.predictor import ProductPredictor
from models.product.task import ProductTask

pytestmark = pytest.mark.slow


class LengthConfig(HeadConfig):
    """Of a head that tells how long the title is."""

    weight: float = 2.0

    @classmethod
    def head(cls) -> type["LengthHead"]:
        return LengthHead


@dataclass(frozen=True)
class Lengths:
    tokens: NDArray[Any]

    def at(self, row: int) -> float:
        return float(self.tokens[row])


class LengthHead(ListingHead[Tensor, Lengths]):
    name = "length"
    visible = ("title",)
    bias: Tensor

    def __init__(self, values: LengthConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.values = values
        self.layer = nn.Linear(context.width, 1)
        self.register_buffer("bias", torch.tensor(0.0))

    def weights(self) -> Mapping[str, float]:
        return {"length": self.values.weight}

    def forward(self, decoded: Decoded) -> Tensor:
        found: Tensor = self.layer(decoded.states[self.name])[..., 0]
        return found

    def view_losses(self, output: Tensor, view: int, targets: Inputs, rows: Tensor, smoothing: float) -> dict[str, Tensor]:
        return {"length": mean((output[:, view] - (targets.title != 0).sum(1)) ** 2, rows)}

    def answers(self, output: Tensor) -> dict[str, Tensor]:
        return {"title_tokens": output[:, WHOLE] + self.bias}

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> Lengths:
        return Lengths(answers["title_tokens"])

    def calibration_rows(self, decoded: Decoded) -> dict[str, Tensor]:
        return {"errors": (decoded.inputs.title != 0).sum(1) - decoded.of(LengthHead)[:, WHOLE]}

    def calibrate(self, rows: Mapping[str, Tensor], config: EvaluationConfig) -> None:
        self.bias.fill_(rows["errors"].mean())

    def calibrated(self) -> dict[str, float]:
        return {"length_bias": self.bias.item()}


class WithLength(HeadsConfig):
    length: LengthConfig = LengthConfig()


@pytest.fixture(scope="module")
def net() -> ProductModel:
    torch.manual_seed(0)
    built = ProductModel(small().model_copy(update={"head": WithLength()}), SIZES, PATHS)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # no branch is zero
    return built.eval()


def test_it_is_trained_with_the_others(net: ProductModel) -> None:
    task = ProductTask(net).train()
    terms = task.training_loss(batch(), torch.Generator().manual_seed(0))
    assert "length" in terms
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in net.head(LengthHead).parameters())
    assert task.weights["length"] == 2.0
    assert "length" in task.eval().validation_loss(batch())


def test_it_sees_its_own_parts_alone(net: ProductModel) -> None:
    inputs = listings()
    with torch.no_grad():
        whole, title = (net.eval()(x)["title_tokens"] for x in (inputs, inputs.only(["title"])))
        other = net(inputs.only(["image"]))["title_tokens"]
    assert torch.allclose(whole, title, atol=1e-5)
    assert not torch.allclose(whole, other, atol=1e-3)


def test_it_is_exported_with_the_others(net: ProductModel) -> None:
    """The program of which the graph is made; `test_export` compares graphs with programs."""
    inputs, place = listings(), answer_names(net.eval()).index("title_tokens")
    with torch.no_grad():
        expected = net(inputs)["title_tokens"]
        answers = listing_program(net).module()(*(getattr(inputs, name) for name in INPUTS), net.photo(inputs.image))
    assert torch.allclose(answers[place], expected, atol=1e-5)


def test_it_is_calibrated_saved_and_predicted(tmp_path: Path) -> None:
    from models.product import bundle
    from models.product.calibrate import calibrate

    config = tiny_config()
    config = config.model_copy(update={"model": config.model.model_copy(update={"head": WithLength()})})
    catalogue = Catalogue.open(tiny_catalogue(tmp_path / "catalogue", products=60))
    rows = Rows.of(catalogue.products())
    encoders = Encoders.fit(rows.listings, rows.photos, config.model)
    torch.manual_seed(0)
    model = bundle.build(encoders, config.model).eval()
    dataset = ListingDataset(rows, catalogue.images, encoders, config.model)
    calibrate(model, dataset.batches(16), config.evaluation)
    again = bundle.build(encoders, config.model).eval()
    again.load_state_dict(model.state_dict())
    assert again.calibrated()["length_bias"] == model.calibrated()["length_bias"] != 0.0
    (found,) = ProductPredictor(again, encoders, config, "cpu").predict([Listing(title="Nordal blue shirt")])
    assert isinstance(found.answers["length"], float)
    with torch.no_grad():
        told = torch.cat([again(inputs)["title_tokens"] for inputs in dataset.batches(60)])
    true = torch.cat([(inputs.title != 0).sum(1) for inputs in dataset.batches(60)])
    assert told.mean().item() == pytest.approx(true.float().mean().item(), abs=1e-3)  # that is what its calibration does
