"""Answers to one request, kept ones among them: what is not kept is computed, and kept once the client has its answer."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import Response
from pydantic_core import to_json
from starlette.background import BackgroundTask

from serving.about import answered
from serving.context import Context
from serving.kinds import Reply, Steps
from serving.results import Kept, digest_of, new_id
from serving.schemas import RequestModel, Served
from serving.slots import Answer


@dataclass(frozen=True)
class Given:
    """Answers of one version.

    Attributes:
        items: JSON objects, in the order of what was asked.
        after: What is done once they were sent: monitoring is told, and what was computed is kept.
    """

    model: Served
    items: Sequence[bytes]
    after: BackgroundTask

    def one(self) -> Response:
        """The only answer."""
        [item] = self.items
        return Response(item, media_type="application/json", background=self.after)

    def several(self) -> Response:
        """All of them: `{"model", "items"}`."""
        content = b'{"model":' + to_json(self.model) + b',"items":[' + b",".join(self.items) + b"]}"
        return Response(content, media_type="application/json", background=self.after)


@dataclass(frozen=True)
class _Computed:
    """An answer that was not kept."""

    reply: Any
    question: Any
    answer: Answer


async def give(
    context: Context,
    work: str,
    steps: Steps[Reply],
    model: str,
    bodies: Sequence[RequestModel],
    *,
    path: str = "",
    times: float = 1.0,
) -> Given:
    """Answers to `bodies` by `model`, all of one version.

    Args:
        work: What is asked for, as in `Kind.name`: the same content is answered otherwise where something else is asked.
        path: Where the items stand in the body of the request.
        times: See `Context.predict`.

    Raises:
        ApiError: an item is wrong, or the model cannot answer now; then none is answered.
    """
    start = time.perf_counter()
    answering = version, bundle = context.models[model].slot.answering or (None, "")
    digests = [digest_of(work, bundle, body) for body in bodies]
    kept = await _kept(context, model, version, digests)
    computed = await _compute(context, steps, model, bodies, [digest not in kept for digest in digests], path, times)
    if computed and _of(computed) != answering:  # another champion meanwhile: all answers are of one version
        if kept:
            kept, everything = {}, [True] * len(bodies)
            computed = await _compute(context, steps, model, bodies, everything, path, times)
        version, bundle = _of(computed)
        digests = [digest_of(work, bundle, body) for body in bodies]
    assert version is not None, "who answers has a version"
    answered(model, version)
    ids = {place: new_id() for place, digest in enumerate(digests) if digest in kept}
    items = [
        kept[digests[place]].answer(ids[place]) if place in ids else computed[place].reply.model_dump_json().encode()
        for place in range(len(bodies))
    ]
    again = {ids[place]: kept[digests[place]] for place in ids}
    milliseconds = 1000 * (time.perf_counter() - start)
    fresh = {place: (digests[place], one) for place, one in computed.items()}
    task = BackgroundTask(_after, context, work, steps, model, version, again, list(fresh.values()), milliseconds)
    return Given(Served(name=model, version=version), items, task)


def _of(computed: Mapping[int, _Computed]) -> tuple[int, str]:
    """The version that computed all of them, and the digest of its bundle."""
    answer = next(iter(computed.values())).answer
    return answer.version, answer.digest


async def _kept(context: Context, model: str, version: int | None, digests: Sequence[str]) -> dict[str, Kept]:
    if version is None:
        return {}
    held = context.results.remembered(model, version, digests)
    if held is not None:
        return held
    return await to_thread.run_sync(context.results.find, model, version, digests)


async def _compute(
    context: Context,
    steps: Steps[Any],
    model: str,
    bodies: Sequence[RequestModel],
    wanted: Sequence[bool],
    path: str,
    times: float,
) -> dict[int, _Computed]:
    """Answers to the items that are wanted, by their places."""
    places = [place for place, chosen in enumerate(wanted) if chosen]
    if not places:
        return {}
    paths = {place: f"{path}.{place}" if path else "" for place in places}
    questions = []
    for place in places:
        read = partial(steps.read, bodies[place], context.config, paths[place])
        photo = getattr(bodies[place], "image", None)
        questions.append(read() if photo is None else await to_thread.run_sync(read))
    answers = await context.predict(model, questions, steps.method, list(paths.values()), times)
    return {
        place: _Computed(steps.reply(bodies[place], answer), question, answer)
        for place, question, answer in zip(places, questions, answers, strict=True)
    }


def _after(
    context: Context,
    work: str,
    steps: Steps[Any],
    model: str,
    version: int,
    again: Mapping[str, Kept],
    fresh: Sequence[tuple[str, _Computed]],
    milliseconds: float,
) -> None:
    for prediction_id, kept in again.items():
        for row in kept.predictions(prediction_id, work, milliseconds):
            context.record(row)
    keeping = {}
    for digest, one in fresh:
        row = steps.row(one.reply, one.question, one.answer, milliseconds)
        context.record(row)
        keeping[digest] = Kept.of(one.reply, [row])
    if keeping:
        context.results.keep(model, version, keeping)
