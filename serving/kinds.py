"""Work that may be left as a job: how one item is read, and how several are answered. A route file lists its own in `KINDS`.

The same functions answer a request at once and a job later, so both give the same answer.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from database.audit import ANYONE
from database.predictions import PredictionRow
from serving.errors import ApiError, invalid, refused
from serving.results import Kept, Results, digest_of, new_id
from serving.schemas import RequestModel, ResponseModel
from serving.slots import Answer, Loaded

Reply = TypeVar("Reply", bound=ResponseModel)


@dataclass(frozen=True)
class Done:
    """An item's answer, and what monitoring is told of it."""

    body: ResponseModel
    rows: tuple[PredictionRow, ...] = ()


Answers = Callable[[Loaded, ServingConfig, Sequence[Any]], list[Done | ApiError]]
"""An outcome an item, in order."""


@dataclass(frozen=True)
class Column:
    """A column of the Parquet file of a job's results.

    Attributes:
        holds: Numbers are float32.
        take: Its value out of a result, which keeps the rest.
    """

    holds: Literal["text", "numbers", "bytes"]
    take: Callable[[dict[str, Any]], Any]


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
        bounded: `item` with the lengths and numbers that a service allows.
        check: What else an item must be before it is left, that takes no time to see; raises `InvalidInput`.
        columns: Of the Parquet file of the results, by name; what they leave of a result is its JSON.
        kept: Form of the answers, where they are kept and given again to the same content; None: each is computed.
        writing: Where an answer is written to the application database as well: `answer`, by the address of that and who asks.
            It may be asked for the same items again after a kill, and then changes nothing.
    """

    name: str
    model: str
    item: type[RequestModel]
    batch: int
    answer: Answers
    stand_in: str | None = None
    bounded: Callable[[ServingConfig], type[RequestModel]] | None = None
    check: Callable[[Any, ServingConfig], object] | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    kept: type[ResponseModel] | None = None
    writing: Callable[[str, str], Answers] | None = None

    def at(self, url: str, results: Results) -> "Kind":
        """The kind as a worker does it whose application database is at `url`, and which keeps `results`."""
        answer = self.writing(url, ANYONE) if self.writing else self.answer
        return replace(self, answer=_given_again(self.name, self.kept, answer, results) if self.kept else answer)

    def asked_by(self, who: str, url: str) -> "Kind":
        """The kind as it is done for `who`, of whom the audit trail of the database at `url` tells where something is written."""
        return replace(self, answer=self.writing(url, who)) if self.writing else self

    def reader(self, config: ServingConfig) -> Callable[[Any], RequestModel]:
        """A function that makes an item of what was sent, as JSON values; it raises `InvalidInput`."""
        schema = self.bounded(config) if self.bounded else self.item

        def read(sent: Any) -> RequestModel:
            try:
                body = schema.model_validate_json(to_json(sent, inf_nan_mode="constants"), strict=True)
            except ValidationError as error:
                raise invalid(error, schema.model_fields) from error
            if self.check:
                self.check(body, config)
            return body

        return read


@dataclass(frozen=True)
class Steps(Generic[Reply]):
    """How a model answers items of a kind.

    Attributes:
        read: What the model is asked, of an item that stands at a path such as "items.3"; raises `InvalidInput`.
        reply: The answer of the API, of an item and what the model said; raises `NotSupported`.
        row: What monitoring is told, of the answer of the API, what the model was asked and said, and milliseconds.
        method: Of the predictor.
    """

    read: Callable[[Any, ServingConfig, str], Any]
    reply: Callable[[Any, Answer], Reply]
    row: Callable[[Any, Any, Answer, float], PredictionRow]
    method: str = "predict"


def answered_by(steps: Mapping[str, Steps[Reply]]) -> Answers:
    """`Kind.answer` of the steps of each model that may answer."""

    def answer(loaded: Loaded, config: ServingConfig, items: Sequence[Any]) -> list[Done | ApiError]:
        return _answer(steps[loaded.predictor.name], loaded, config, items)

    return answer


def _answer(steps: Steps[Reply], loaded: Loaded, config: ServingConfig, items: Sequence[Any]) -> list[Done | ApiError]:
    start = time.perf_counter()
    read = [_tried(steps.read, item, config, "") for item in items]
    asked = [one for one in read if not isinstance(one, ApiError)]
    if not asked:
        return read
    try:
        predictions = getattr(loaded.predictor, steps.method)(asked)
    except VitrinaError as error:
        if len(asked) > 1:
            raise
        return [one if isinstance(one, ApiError) else refused(error) for one in read]
    milliseconds = 1000 * (time.perf_counter() - start) / len(asked)
    answers = iter([Answer(prediction, loaded.version, loaded.digest) for prediction in predictions])

    def done(item: Any, question: Any, answer: Answer) -> Done:
        reply = steps.reply(item, answer)
        return Done(reply, (steps.row(reply, question, answer, milliseconds),))

    return [
        one if isinstance(one, ApiError) else _tried(done, item, one, next(answers))
        for item, one in zip(items, read, strict=True)
    ]


def _tried(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except ApiError as error:
        return error


def _given_again(work: str, form: type[ResponseModel], answer: Answers, results: Results) -> Answers:
    """`answer` of what is not kept; of items of one content one is computed."""

    def given(loaded: Loaded, config: ServingConfig, items: Sequence[Any]) -> list[Done | ApiError]:
        model, version = loaded.predictor.name, loaded.version
        digests = [digest_of(work, loaded.digest, item) for item in items]
        kept = results.find(model, version, digests)
        first = {digest: item for digest, item in reversed(list(zip(digests, items, strict=True))) if digest not in kept}
        computed = dict(zip(first, answer(loaded, config, list(first.values())), strict=True)) if first else {}
        done = {digest: one for digest, one in computed.items() if isinstance(one, Done)}
        failed = {digest: one for digest, one in computed.items() if isinstance(one, ApiError)}
        fresh = {digest: Kept.of(one.body, one.rows) for digest, one in done.items()}
        if fresh:
            results.keep(model, version, fresh)
        kept |= fresh

        def one(digest: str) -> Done | ApiError:
            if digest in failed:
                return failed[digest]
            if digest in done:  # its first item has the id that monitoring knows it by; equal ones get their own
                return done.pop(digest)
            prediction_id = new_id()
            body = form.model_validate_json(kept[digest].answer(prediction_id))
            return Done(body, tuple(kept[digest].predictions(prediction_id, work, 0.0)))

        return [one(digest) for digest in digests]

    return given
