"""A product model's ONNX graphs, run by ONNX Runtime: what answers where there is no GPU, if the configuration says so.

`models.product.export` writes them. Shapes: see `models.product.inputs` and `models.product.heads`.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from configs.errors import VitrinaError
from models.product.inputs import Inputs, Reviews

PHOTOS, LISTINGS, REVIEWS = "photos.onnx", "listings.onnx", "reviews.onnx"
PHOTO_INPUTS, PHOTO_ANSWERS = ("image",), ("patches",)
INPUTS = tuple(field.name for field in fields(Inputs))
REVIEW_INPUTS = ("title", "text", "prior")


class OnnxModel:
    """Exported graphs, run on the CPU with as many threads as PyTorch has there. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        """Read the graphs.

        Raises:
            VitrinaError: one is missing or damaged.
        """
        self._folder = folder
        self._session = cache(self._open)
        for name in (PHOTOS, LISTINGS, REVIEWS):
            self._session(name, torch.get_num_threads())

    def __call__(self, inputs: Inputs) -> dict[str, Tensor]:
        """What `ProductModel` answers."""
        told = {name: getattr(inputs, name) for name in INPUTS}
        return self._run(LISTINGS, told | {"patches": self._patches(inputs)})

    def embed(self, inputs: Inputs) -> Tensor:
        """What `ProductModel.embed` answers."""
        return self(inputs)["embedding"]

    def forward_reviews(self, reviews: Reviews) -> dict[str, Tensor]:
        """What `ProductModel.forward_reviews` answers."""
        return self._run(REVIEWS, {name: getattr(reviews, name) for name in REVIEW_INPUTS})

    def _patches(self, inputs: Inputs) -> Tensor:
        """Of each photo (B, N, C), 0 where there is none; the tower reads only those that are there."""
        there = inputs.has_image
        if not there.any():
            return torch.zeros(len(inputs), 0)
        read = self._run(PHOTOS, {"image": inputs.image[there]})["patches"]
        return read.new_zeros(len(inputs), *read.shape[1:]).index_put((there,), read)

    def _run(self, graph: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        session = self._session(graph, torch.get_num_threads())
        feed = {x.name: _filled(inputs[x.name].numpy(), x.shape) for x in session.get_inputs()}
        names = [answer.name for answer in session.get_outputs()]
        return {name: torch.from_numpy(answer) for name, answer in zip(names, session.run(names, feed), strict=True)}

    def _open(self, graph: str, threads: int) -> Any:
        """A session; how many threads it has cannot be changed later."""
        import onnxruntime

        path, options = self._folder / graph, onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take PyTorch's cores
        if not path.is_file():
            raise VitrinaError(f"{path} is missing; `models.product.export.export_model` writes it")
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf as error:
            raise VitrinaError(f"{path} is not an ONNX graph: {error}") from error


def _filled(array: NDArray[Any], shape: Sequence[int | str]) -> NDArray[Any]:
    """A part that the whole batch lacks has no size; the graph reads zeros. Dynamic axes have names in `shape`."""
    if array.size or not len(array):
        return np.ascontiguousarray(array)
    return np.zeros([len(array), *(x if isinstance(x, int) else 1 for x in shape[1:])], dtype=array.dtype)
