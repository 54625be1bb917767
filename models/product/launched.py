"""How a service launches forward passes: in bf16 where asked for, and as CUDA graphs, or compiled, of fixed shapes.

A large model on a GPU waits for its kernels to be launched one by one. A recorded graph launches them at once, and has fixed
shapes. So a batch is filled up with empty listings to the next of `SIZES`, and its texts and attributes to the lengths that the
model reads; photos and descriptions, which cost most, are left out where no listing of the batch has one. Listings do not see
each other, so that an answer is the same in any company, but for rounding.

Shapes: B listings or reviews; see `models.product.inputs`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import Launch, Precision
from models.product.bundle import BundleConfig, Network, load_model
from models.product.cleaning import CleanReview, clean
from models.product.config import ProductModelConfig
from models.product.encoders import Encoders
from models.product.inputs import Inputs, Reviews
from models.product.towers import TextTower

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Rows of the batches that are recorded; larger ones are divided."""

Answered = dict[str, Tensor]
Call = Callable[..., Answered]
Recorder = Callable[[Call, tuple[Tensor, ...]], Call]
"""Makes a call of tensors faster, for tensors of the shapes of these examples."""

Rows = TypeVar("Rows", Inputs, Reviews)


class Lowered:
    """A network that multiplies in bf16 (autocast: sums and norms stay in single precision); its answers are single precision."""

    def __init__(self, network: Network, device: str) -> None:
        self._network, self._kind = network, torch.device(device).type

    def __call__(self, inputs: Inputs) -> Answered:
        """See `models.product.bundle.Network`."""
        return {name: _single(answer) for name, answer in self._in_bf16(self._network, inputs).items()}

    def embed(self, inputs: Inputs) -> Tensor:
        """See `models.product.bundle.Network`."""
        return _single(self._in_bf16(self._network.embed, inputs))

    def forward_reviews(self, reviews: Reviews) -> Answered:
        """See `models.product.bundle.Network`."""
        return {name: _single(answer) for name, answer in self._in_bf16(self._network.forward_reviews, reviews).items()}

    def _in_bf16(self, call: Callable[[Any], Any], batch: Any) -> Any:
        with torch.autocast(self._kind, torch.bfloat16, cache_enabled=False):  # a recorded graph must not rest on a cache
            return call(batch)


class Launched:
    """A network whose passes are recorded, each size once. Safe to call from several threads: one passes at a time.

    Args:
        record: Records a call.
        sizes: Rows that batches are filled up to; empty: they are left as they are, and `record` knows any number of rows.
    """

    def __init__(self, network: Network, config: ProductModelConfig, record: Recorder, sizes: Sequence[int] = SIZES) -> None:
        self._config, self._record, self._sizes = config, record, tuple(sizes)
        self._calls: Mapping[str, Callable[[Any], Answered]] = {
            "listings": network,
            "embeddings": lambda inputs: {"embedding": network.embed(inputs)},
            "reviews": network.forward_reviews,
        }
        self._recorded: dict[tuple[Any, ...], Call] = {}
        self._one = threading.Lock()

    def __call__(self, inputs: Inputs) -> Answered:
        """See `models.product.bundle.Network`."""
        return self._run("listings", self._filled(inputs))

    def embed(self, inputs: Inputs) -> Tensor:
        """See `models.product.bundle.Network`."""
        return self._run("embeddings", self._filled(inputs))["embedding"]

    def forward_reviews(self, reviews: Reviews) -> Answered:
        """See `models.product.bundle.Network`."""
        title, text = self._config.title_tokens, self._config.review_tokens
        return self._run("reviews", replace(reviews, title=_longer(reviews.title, title), text=_longer(reviews.text, text)))

    def warm_up(self, inputs: Inputs, reviews: Reviews) -> None:
        """Record every size, the largest first, whose memory the others share; `inputs` is of one listing with all parts."""
        for rows in sorted(self._sizes or (2,), reverse=True):
            for image in (inputs.image, inputs.image[:, :, :0, :0]):
                for description in (inputs.description, inputs.description[:, :0]):
                    listings = _repeated(replace(inputs, image=image, description=description), rows)
                    self(listings)
                    self.embed(listings)
            self.forward_reviews(_repeated(reviews, rows))

    def _filled(self, inputs: Inputs) -> Inputs:
        config = self._config
        return replace(
            inputs,
            title=_longer(inputs.title, config.title_tokens),
            description=_longer(inputs.description, config.description_tokens)
            if inputs.description.shape[1]
            else inputs.description,
            names=_longer(inputs.names, config.max_attributes),
            values=_longer(inputs.values, config.max_attributes),
        )

    def _run(self, call: str, batch: Rows) -> Answered:
        parts = [self._pass(call, part) for part in _divided(batch, max(self._sizes, default=len(batch)))]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _pass(self, call: str, batch: Rows) -> Answered:
        rows = len(batch)
        size = next((size for size in self._sizes if size >= rows), max(rows, 2))  # one row is a constant to a compiler
        tensors: tuple[Tensor, ...] = tuple(_more_rows(getattr(batch, field.name), size) for field in fields(batch))
        key = (call, size if self._sizes else 0, *(tensor.shape[1:] for tensor in tensors))
        with self._one:
            if key not in self._recorded:
                kind, run = type(batch), self._calls[call]
                self._recorded[key] = self._record(lambda *told: run(kind(*told)), tensors)
            answers = self._recorded[key](*tensors)
        return {name: answer[:rows] for name, answer in answers.items()}


def load_launched(
    folder: Path, encoders: Encoders, settings: BundleConfig, device: str, precision: Precision, launch: Launch
) -> Network:
    """The bundle's network on a device, its passes warmed up: PyTorch computes, also where `cpu_runtime` says otherwise.

    Raises:
        VitrinaError: weights are missing or damaged, or CUDA graphs are asked for without CUDA.
    """
    if launch == "cuda_graphs" and torch.device(device).type != "cuda":
        raise VitrinaError(f"compile = cuda_graphs: the device is {device!r}; allowed there: none, compile")
    model = load_model(folder, encoders, settings).to(device)
    network: Network = Lowered(model, device) if precision == "bf16" else model
    if launch == "none":
        return network
    if isinstance(model.text, TextTower):
        model.text.packs = False
    config = settings.config.model
    launched = Launched(network, config, cuda_graphs()) if launch == "cuda_graphs" else Launched(network, config, compiled, ())
    photo = np.zeros((config.image_height, config.image_width, 3), dtype=np.uint8)
    with torch.inference_mode():
        inputs = encoders.encode([clean(Listing(title="warm up", description="warm up"))], [photo], config).to(device)
        launched.warm_up(inputs, encoders.encode_reviews([CleanReview("warm", "up")], config).to(device))
    return launched


def cuda_graphs() -> Recorder:
    """Records calls as CUDA graphs (Nguyen et al. 2021) that share one pool of memory."""
    pool = torch.cuda.graph_pool_handle()

    def record(call: Call, example: tuple[Tensor, ...]) -> Call:
        held, beside = tuple(tensor.clone() for tensor in example), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):  # libraries choose their kernels, and take their memory, before anything is recorded
                call(*held)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # Other threads answer with the version before meanwhile: what they do with the GPU is not recorded, and no error.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            answers = call(*held)

        def replay(*told: Tensor) -> Answered:
            for there, new in zip(held, told, strict=True):
                there.copy_(new)
            graph.replay()
            return {name: answer.clone() for name, answer in answers.items()}

        return replay

    return record


def compiled(call: Call, example: tuple[Tensor, ...]) -> Call:
    """Compiles a call for any number of rows; the first call takes a minute."""
    made: Call = torch.compile(call, dynamic=None)

    def run(*told: Tensor) -> Answered:
        told = tuple(tensor.clone() for tensor in told)  # a batch's own tensors are not marked
        for tensor in told:
            torch._dynamo.mark_dynamic(tensor, 0)
        return {name: answer.clone() for name, answer in made(*told).items()}

    return run


def _single(answer: Tensor) -> Tensor:
    return answer.float() if answer.is_floating_point() else answer


def _longer(ids: Tensor, length: int) -> Tensor:
    """Ids (B, T ≤ length) to (B, length), 0 where there is none."""
    return F.pad(ids, (0, length - ids.shape[1]))


def _more_rows(tensor: Tensor, rows: int) -> Tensor:
    """(B, …) to (rows, …): what is added says nothing."""
    nothing = torch.nan if tensor.is_floating_point() and tensor.ndim == 1 else 0  # a price
    return (
        torch.cat([tensor, tensor.new_full((rows - len(tensor), *tensor.shape[1:]), nothing)]) if len(tensor) < rows else tensor
    )


def _divided(batch: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(batch), size):
        yield replace(batch, **{f.name: getattr(batch, f.name)[start : start + size] for f in fields(batch)})


def _repeated(batch: Rows, rows: int) -> Rows:
    return replace(
        batch, **{f.name: getattr(batch, f.name)[:1].expand(rows, *getattr(batch, f.name).shape[1:]) for f in fields(batch)}
    )
