"""Passes in bf16, recorded by sizes and compiled: the answers are those of the plain network.

There is no GPU here: `cuda_graphs` itself is not run. Its place is taken by a recorder that behaves as a graph does: it keeps the
tensors of its example, and computes from them and into the same answers again.
"""

from dataclasses import fields, replace
from functools import partial
from typing import Any

import committed
import numpy as np
import pytest
import torch
from homes import settings_of
from product_batches import listings, model, reviews
from torch import Tensor

from configs.errors import ConfigError, VitrinaError
from configs.schema import ServingConfig
from models import family
from models.product.inputs import Inputs
from models.product.launched import SIZES, Launched, Lowered, compiled
from models.product.model import ProductModel
from models.product.predictor import ProductPredictor
from serving.run import command

pytestmark = pytest.mark.slow


class Graphs:
    """Records as CUDA graphs do; `shapes` are the rows of each recording."""

    def __init__(self) -> None:
        self.recorded: list[int] = []
        self.replayed = 0

    def __call__(self, call: Any, example: tuple[Tensor, ...]) -> Any:
        self.recorded.append(len(example[0]))
        held = tuple(tensor.clone() for tensor in example)
        answers = call(*held)

        def replay(*told: Tensor) -> dict[str, Tensor]:
            self.replayed += 1
            for there, new in zip(held, told, strict=True):
                assert there.shape == new.shape, "a graph has fixed shapes"
                there.copy_(new)
            for name, answer in call(*held).items():
                answers[name].copy_(answer)
            return {name: answer.clone() for name, answer in answers.items()}

        return replay


@pytest.fixture(scope="module")
def network() -> ProductModel:
    made = model().eval()
    torch.manual_seed(0)
    for parameter in made.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def part(inputs: Inputs, start: int, stop: int) -> Inputs:
    return replace(inputs, **{f.name: getattr(inputs, f.name)[start:stop] for f in fields(inputs)})


def close(found: dict[str, Tensor], wanted: dict[str, Tensor], atol: float = 1e-4) -> None:
    assert set(found) == set(wanted)
    for name, answer in wanted.items():
        assert found[name].shape == answer.shape, name
        torch.testing.assert_close(found[name], answer, atol=atol, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 11])
@torch.inference_mode()
def test_recorded_passes_answer_as_the_network_does(network: ProductModel, rows: int) -> None:
    graphs = Graphs()
    launched = Launched(network, network.config, graphs, sizes=(1, 2, 4))
    inputs = listings(rows)
    wanted = network(inputs)
    for _ in range(2):
        close(launched(inputs), wanted)
    torch.testing.assert_close(launched.embed(inputs), network.embed(inputs), atol=1e-4, rtol=1e-3)
    close(launched.forward_reviews(reviews(rows)), network.forward_reviews(reviews(rows)))
    assert set(graphs.recorded) <= {1, 2, 4}
    assert len(graphs.recorded) == len(set(graphs.recorded)) * 3  # of listings, embeddings and reviews


@torch.inference_mode()
def test_what_a_graph_answered_before_does_not_change(network: ProductModel) -> None:
    launched = Launched(network, network.config, Graphs(), sizes=(2,))
    inputs = listings(4)
    first = launched(part(inputs, 0, 2))
    kept = {name: answer.clone() for name, answer in first.items()}
    launched(part(inputs, 2, 4))
    close(first, kept, atol=0)


@torch.inference_mode()
def test_a_listing_gets_the_same_answer_in_any_company(network: ProductModel) -> None:
    launched = Launched(network, network.config, Graphs(), sizes=(1, 4))
    inputs = listings(4)
    together = launched(inputs)
    for row in range(4):
        close(launched(part(inputs, row, row + 1)), {name: answer[row : row + 1] for name, answer in together.items()})


@torch.inference_mode()
def test_photos_and_descriptions_cost_only_where_a_listing_has_one(network: ProductModel) -> None:
    shapes = []

    def noting(call: Any, example: tuple[Tensor, ...]) -> Any:
        shapes.append({f.name: tuple(tensor.shape[1:]) for f, tensor in zip(fields(Inputs), example, strict=True)})
        return call

    config = network.config
    launched = Launched(network, config, noting, sizes=(2,))
    inputs = listings(2)
    bare = inputs.only({"title"})
    close(launched(inputs), network(inputs))
    close(launched(bare), network(bare))
    full, words = shapes
    assert (full["image"], words["image"]) == ((3, config.image_height, config.image_width), (3, 0, 0))
    assert (full["description"], words["description"]) == ((config.description_tokens,), (0,))
    assert full["title"] == words["title"] == (config.title_tokens,)


@torch.inference_mode()
def test_a_warm_up_records_every_size_once_and_requests_none(network: ProductModel) -> None:
    graphs = Graphs()
    launched = Launched(network, network.config, graphs)
    launched.warm_up(part(listings(2), 0, 1), part(reviews(2), 0, 1))
    each = 2 * 4 + 1  # listings and their embeddings, with a photo or a description or not; reviews
    assert graphs.recorded == [size for size in sorted(SIZES, reverse=True) for _ in range(each)]
    for rows in (1, 3, 40):
        launched(listings(rows))
        launched.embed(listings(rows))
        launched.forward_reviews(reviews(rows))
    assert len(graphs.recorded) == each * len(SIZES)


@torch.inference_mode()
def test_bf16_answers_in_single_precision_and_nearly_the_same(network: ProductModel) -> None:
    lowered, inputs = Lowered(network, "cpu"), listings(6)
    wanted, found = network(inputs), lowered(inputs)
    assert {answer.dtype for answer in found.values()} == {torch.float32}
    assert not torch.equal(found["embedding"], wanted["embedding"])  # it is another arithmetic
    assert (found["embedding"] * wanted["embedding"]).sum(-1).min() > 0.98
    assert (lowered.embed(inputs) * wanted["embedding"]).sum(-1).min() > 0.98
    assert (lowered.forward_reviews(reviews(3))["rating"] - network.forward_reviews(reviews(3))["rating"]).abs().max() < 0.2


@torch.inference_mode()
def test_traced_passes_answer_as_the_network_does(network: ProductModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that torch.compile does but to make kernels, which takes minutes here."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    recorded = []

    def record(call: Any, example: tuple[Tensor, ...]) -> Any:
        recorded.append(len(example[0]))
        return compiled(call, example)

    launched = Launched(network, network.config, record, ())
    for rows in (2, 1, 5):
        close(launched(listings(rows)), network(listings(rows)))
    assert recorded == [2], "one program answers any number of rows"


@torch.inference_mode()
def test_compiled_passes_answer_as_the_network_does(network: ProductModel) -> None:
    launched = Launched(network, network.config, compiled, ())
    for rows in (2, 1, 5):
        close(launched.forward_reviews(reviews(rows)), network.forward_reviews(reviews(rows)))


def test_a_trained_bundle_says_the_same_in_bf16() -> None:
    bundle = committed.bundle("product")
    plain, lowered = ProductPredictor.load(bundle, "cpu"), ProductPredictor.load(bundle, "cpu", "bf16")
    told = list(committed.LISTINGS.values())
    for one, other in zip(plain.predict(told), lowered.predict(told), strict=True):
        assert float(one.embedding @ other.embedding) > 0.99
        best, again = one.categories["article_type"][0], other.categories["article_type"][0]
        assert best[0] == again[0] or best[1] < 0.6
        assert other.price.median == pytest.approx(one.price.median, rel=0.1)
    assert np.allclose(
        [x.recommended for x in plain.predict_reviews(list(committed.REVIEWS.values()))],
        [x.recommended for x in lowered.predict_reviews(list(committed.REVIEWS.values()))],
        atol=0.05,
    )


def test_cuda_graphs_without_cuda_are_refused() -> None:
    with pytest.raises(VitrinaError, match="cuda_graphs: the device is 'cpu'; allowed there: none, compile"):
        ProductPredictor.load(committed.bundle("product"), "cpu", "fp32", "cuda_graphs")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"device": "cuda"}, "device 'cuda' is not available here; allowed: auto, cpu, cuda"),
        ({"compile": "cuda_graphs"}, "compile = cuda_graphs: there is no GPU here, the device is cpu"),
        (
            {"models": ("recommender",), "precision": "bf16"},
            "precision = bf16: recommender computes in fp32 and is not recorded or compiled; allowed for: product",
        ),
        ({"models": ("describer",), "compile": "compile"}, "compile = compile: describer computes in fp32"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_service_that_cannot_compute_as_configured_does_not_start(tmp_path: Any, config: dict[str, Any], says: str) -> None:
    settings = settings_of(tmp_path)
    with pytest.raises(VitrinaError, match=says.replace("(", r"\(")):
        command(settings, ServingConfig(**config))


def test_a_model_that_computes_in_one_way_is_not_loaded_in_another() -> None:
    with pytest.raises(ConfigError, match="'recommender' computes in fp32"):
        family.load("recommender", committed.bundle("recommender"), precision="bf16")
