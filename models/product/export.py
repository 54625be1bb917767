"""A model as ONNX graphs, for servers without PyTorch and for bundles that `models.product.graphs` answers from.

`photos.onnx` reads photos and answers what the photo tower says of them. `listings.onnx` reads that and what
`models.product.inputs.Inputs` holds, and answers what listing heads do. `reviews.onnx` reads titles, texts and priors of
reviews and answers what review heads do. Batch, text lengths and attributes are dynamic axes. The graphs
have no branches: a part that is missing is there as zeros that no query may see. Photos have a graph of their own, so that
nothing is computed where there is none.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from configs.errors import VitrinaError
from models.product import bundle
from models.product.config import ProductModelConfig
from models.product.encoders import Encoders
from models.product.graphs import (
    INPUTS,
    LISTINGS,
    PHOTO_ANSWERS,
    PHOTO_INPUTS,
    PHOTOS,
    REVIEW_INPUTS,
    REVIEWS,
    OnnxModel,
)
from models.product.inputs import Inputs, Reviews
from models.product.model import ProductModel
from models.product.parts import FACTS, PRIOR_SEGMENTS
from models.product.priors.neighbours import NAMES

TOLERANCE = 1e-3
"""Largest difference from PyTorch that an export may have, in units of each answer; measured ones are near 1e-5."""
MAX_BATCH = 65536
OPSET = 20


class ListingGraph(nn.Module):
    """`ProductModel.forward` from tensors to tensors."""

    def __init__(self, model: ProductModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """`INPUTS` and `PHOTO_ANSWERS` to the answers of listing heads, in the order of the model's."""
        *told, patches = inputs
        return tuple(self.model(Inputs(*told), patches).values())


class PhotoGraph(nn.Module):
    """The photo tower."""

    def __init__(self, model: ProductModel) -> None:
        super().__init__()
        self.tower = model.photo

    def forward(self, image: Tensor) -> Tensor:
        """`PHOTO_INPUTS` to `PHOTO_ANSWERS`."""
        patches: Tensor = self.tower(image)
        return patches


class ReviewGraph(nn.Module):
    """`ProductModel.forward_reviews` from tensors to tensors."""

    def __init__(self, model: ProductModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, title: Tensor, text: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
        """`REVIEW_INPUTS` to the answers of review heads, in the order of the model's."""
        return tuple(self.model.forward_reviews(Reviews(title, text, prior, prior, prior)).values())


def photo_program(model: ProductModel) -> ExportedProgram:
    """The photo graph with its dynamic axis."""
    image = _example(model.config, model.sizes.levels, rows=3).image
    return _program(PhotoGraph(model), (image,), ({0: Dim("batch", max=MAX_BATCH)},))


def listing_program(model: ProductModel) -> ExportedProgram:
    """The listing graph with its dynamic axes."""
    config = model.config
    batch, title, description, attributes = (
        Dim("batch", max=MAX_BATCH),
        Dim("title_tokens", max=config.title_tokens),
        Dim("description_tokens", max=config.description_tokens),
        Dim("attributes", max=config.max_attributes),
    )
    second = {"title": title, "description": description, "names": attributes, "values": attributes}
    shapes = [{0: batch} | ({1: second[name]} if name in second else {}) for name in (*INPUTS, *PHOTO_ANSWERS)]
    example = _example(config, model.sizes.levels, rows=3)
    with torch.no_grad():
        told = [*(getattr(example, name) for name in INPUTS), model.photo(example.image)]
    return _program(ListingGraph(model), tuple(told), (tuple(shapes),))


def review_program(model: ProductModel) -> ExportedProgram:
    """The review graph with its dynamic axes."""
    batch, title = Dim("batch", max=MAX_BATCH), Dim("title_tokens", max=model.config.title_tokens)
    text = Dim("text_tokens", max=model.config.review_tokens)
    example = _example_reviews(rows=3)
    shapes = ({0: batch, 1: title}, {0: batch, 1: text}, {0: batch})
    return _program(ReviewGraph(model), tuple(getattr(example, name) for name in REVIEW_INPUTS), shapes)


def _program(graph: nn.Module, example: tuple[Tensor, ...], shapes: Any) -> ExportedProgram:
    """Not strict: a third less time than Dynamo takes. What it runs asks for `shape[0]`: `len` makes a batch a constant."""
    with torch.no_grad():
        return torch.export.export(graph.eval(), example, dynamic_shapes=shapes, strict=False)


def _example(config: ProductModelConfig, levels: Sequence[int], rows: int, seed: int = 0) -> Inputs:
    """A batch with parts missing here and there; lengths of at least 2, because export takes 1 for a constant."""
    g = torch.Generator().manual_seed(seed)

    def ids(width: int) -> Tensor:
        found = torch.randint(1, 3, (rows, width), generator=g)
        found[seed % rows] = 0
        return found

    price = torch.randn(rows, generator=g)
    price[(seed + 1) % rows] = torch.nan
    return Inputs(
        title=ids(min(2 + seed, config.title_tokens)),
        description=ids(min(3 + seed, config.description_tokens)),
        image=torch.randint(0, 256, (rows, 3, config.image_height, config.image_width), generator=g, dtype=torch.uint8),
        has_image=torch.rand(rows, generator=g) < 0.5,
        names=torch.ones(rows, min(2 + seed, config.max_attributes), dtype=torch.int64),
        values=torch.zeros(rows, min(2 + seed, config.max_attributes), dtype=torch.int64),
        price=price,
        categories=torch.stack([torch.randint(0, n, (rows,), generator=g) for n in levels], dim=1),
        price_prior=torch.randn(rows, len(PRIOR_SEGMENTS), generator=g),
        neighbours=torch.randn(rows, len(NAMES), generator=g),
        title_prior=torch.randn(rows, levels[-1], generator=g),
        facts=torch.rand(rows, len(FACTS), generator=g),
    )


def _example_reviews(rows: int, seed: int = 0) -> Reviews:
    """Reviews of which one lacks a title."""
    g = torch.Generator().manual_seed(seed)
    title, text = (torch.randint(1, 3, (rows, 2 + more), generator=g) for more in (0, 2))
    title[seed % rows] = 0
    unknown = torch.full((rows,), torch.nan)
    return Reviews(title, text, torch.randn(rows, generator=g), unknown, unknown)


def export(folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
    """Write the graphs of the bundle `folder` into the new folder `out`; see `export_model`.

    Raises:
        VitrinaError: the bundle is damaged, or as `export_model`.
    """
    settings = bundle.load_config(folder)
    return export_model(bundle.load_model(folder, Encoders.load(folder), settings), out, quantise)


def export_model(model: ProductModel, out: Path, quantise: bool = False) -> dict[str, float]:
    """Write the graphs of a model on the CPU into the new folder `out`; returns how far each answer is from PyTorch's at most.

    `quantise` stores the weights of linear layers as int8 and quantises their inputs as they come (dynamic quantisation).

    Raises:
        VitrinaError: `out` exists, or an answer differs by more than `TOLERANCE` (which int8 may).
    """
    if out.exists():
        raise VitrinaError(f"{out} exists; give a folder that does not")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        _write(photo_program(model), partial / PHOTOS, PHOTO_INPUTS, PHOTO_ANSWERS, quantise)
        _write(listing_program(model), partial / LISTINGS, (*INPUTS, *PHOTO_ANSWERS), answer_names(model), quantise)
        _write(review_program(model), partial / REVIEWS, REVIEW_INPUTS, review_answer_names(model), quantise)
        exported = OnnxModel(partial)
        found = differences(model, exported, [_example(model.config, model.sizes.levels, rows, rows) for rows in (1, 2, 5)])
        found |= review_differences(model, exported, [_example_reviews(rows, rows) for rows in (1, 2, 5)])
        worst = max(found, key=lambda name: found[name])
        if not quantise and not found[worst] <= TOLERANCE:
            raise VitrinaError(f"the exported {worst} differs by {found[worst]:g} from PyTorch's; allowed: {TOLERANCE:g}")
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return found


def answer_names(model: ProductModel) -> tuple[str, ...]:
    """Of the tensors that listing heads answer, in order."""
    with torch.inference_mode():
        return tuple(model(_example(model.config, model.sizes.levels, rows=1)))


def review_answer_names(model: ProductModel) -> tuple[str, ...]:
    """Of the tensors that review heads answer, in order."""
    with torch.inference_mode():
        return tuple(model.forward_reviews(_example_reviews(rows=1)))


def differences(model: ProductModel, exported: OnnxModel, batches: Sequence[Inputs]) -> dict[str, float]:
    """Largest absolute difference of each answer over the batches."""
    return _largest([(model, exported, inputs) for inputs in batches])


def review_differences(model: ProductModel, exported: OnnxModel, batches: Sequence[Reviews]) -> dict[str, float]:
    """The same for what is said about reviews."""
    return _largest([(model.forward_reviews, exported.forward_reviews, reviews) for reviews in batches])


@torch.inference_mode()
def _largest(calls: Sequence[tuple[Callable[[Any], Any], Callable[[Any], Any], Any]]) -> dict[str, float]:
    """Largest absolute difference, by name, between what two functions answer."""
    found: dict[str, float] = {}
    for expected, answered, batch in calls:
        pairs = expected(batch), answered(batch)
        for name, wanted in pairs[0].items():
            found[name] = max(found.get(name, 0.0), (pairs[1][name] - wanted).abs().max().item())
    return found


def _write(program: ExportedProgram, path: Path, inputs: Sequence[str], outputs: Sequence[str], quantise: bool) -> None:
    with _quiet():
        exported = torch.onnx.export(
            program, input_names=list(inputs), output_names=list(outputs), opset_version=OPSET, dynamo=True, verbose=False
        )
    assert exported is not None
    _rename_inner(exported.model.graph)
    exported.save(path)
    if quantise:
        _quantise(path)


def _rename_inner(graph: Any) -> None:
    """Values inside the graph are called after what makes them, an embedding "embedding": the name belongs to the output."""
    outputs = {value.name: value for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if value is not outputs.get(value.name, value):
                value.name = f"{value.name}_inner"


def _quantise(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = path.with_suffix(".folded")
    quant_pre_process(path, folded, skip_symbolic_shape=True)
    linear = ["MatMul", "Gemm"]
    # weights of seven bits: products of eight overflow on CPUs without VNNI
    quantize_dynamic(folded, path, linear, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    folded.unlink()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's hints about its own registry are not for our users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
