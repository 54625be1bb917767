"""One file a model: `MODEL` names it, `METHODS` are what it is asked, `LABELS` what feedback may hold, `router` its routes.

`STAND_IN` is the model that answers its routes until it has a first version, where there is one: then they exist wherever either
is served. `COMPARED` are paths of POST routes that a challenger may answer in the champion's place, as they write nothing.
`KINDS`, where it is bound, are routes whose work may be left as a job.

Discovered by folder: a new model adds a file here and changes none.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fastapi import APIRouter

from configs.schema import ServingConfig
from serving.context import Context
from serving.kinds import Kind
from serving.results import Results


class ModelRoutes(Protocol):
    """What a file of this folder binds."""

    MODEL: str
    METHODS: Sequence[str]  # of the predictor: a sequence in, an answer an item out; each is batched by itself
    LABELS: Mapping[str, Any]  # label name to pydantic type
    STAND_IN: str | None
    COMPARED: Sequence[str]

    def router(self, context: Context) -> APIRouter:
        """The model's routes, under /v1."""
        ...


@runtime_checkable
class OneByOne(Protocol):
    """Of a model that takes seconds for an item: a worker computes one at a time, so that it can be stopped, and few wait."""

    def waiting(self, config: ServingConfig) -> int:
        """Items that may wait; beyond it requests get 503."""
        ...


@runtime_checkable
class Excludes(Protocol):
    """Of a model that answers with products: those that clients deleted or hid are left out."""

    def without(self, items: Sequence[Any], hidden: frozenset[str]) -> Sequence[Any]:
        """What is asked of the model, so that no product of `hidden` is answered."""
        ...


def kinds(url: str, results: Results) -> dict[str, Kind]:
    """Work that may be left as a job, by its name; `url` is the application database, `results` are kept there."""
    return {kind.name: kind.at(url, results) for module in discover().values() for kind in getattr(module, "KINDS", ())}


def discover() -> dict[str, Any]:
    """Modules of this folder by the model they serve; each is a `ModelRoutes`."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in files]
    return {module.MODEL: module for module in modules}
