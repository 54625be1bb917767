"""Work that may be left as a job: how one item is read, and how several are answered. A route file lists its own in `KINDS`.

The same functions answer a request at once and a job later, so both give the same answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from configs.schema import ServingConfig
from database.predictions import PredictionRow
from serving.errors import ApiError, invalid
from serving.schemas import RequestModel, ResponseModel
from serving.slots import Loaded


@dataclass(frozen=True)
class Done:
    """An item's answer, and what monitoring is told of it."""

    body: ResponseModel
    rows: tuple[PredictionRow, ...] = ()


@dataclass(frozen=True)
class Kind:
    """Work that may be left as a job.

    Attributes:
        name: Of the route under /v1 that takes it, such as embeddings/batch.
        model: That answers.
        item: Schema of one item; what does not fit it fails by itself.
        batch: Items that are computed together; a job can be cancelled, and goes on after a kill, between two batches.
        answer: An outcome an item, in order. An `ApiError` is that item's own: it is tried again where its status is 5xx. What
            is raised is the batch's: each of its items is then tried alone.
        stand_in: That answers while `model` has no champion.
    """

    name: str
    model: str
    item: type[RequestModel]
    batch: int
    answer: Callable[[Loaded, ServingConfig, Sequence[Any]], list[Done | ApiError]]
    stand_in: str | None = None

    def reader(self, config: ServingConfig) -> Callable[[Any], RequestModel]:
        """A function that makes an item of what was sent, as JSON values; it raises `InvalidInput`."""
        schema = self.item

        def read(sent: Any) -> RequestModel:
            try:
                return schema.model_validate_json(to_json(sent, inf_nan_mode="constants"), strict=True)
            except ValidationError as error:
                raise invalid(error, schema.model_fields) from error

        return read
