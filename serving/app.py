"""The ASGI application: every route, and the parts of a worker that start and stop with it."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

from anyio import to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp

from configs.errors import ConfigError
from configs.schema import ServingConfig
from configs.settings import Settings
from models.memory import gpu_memory
from monitoring import metrics
from monitoring.prediction_log import PredictionLog
from serving import errors, openapi, system
from serving.access import passed
from serving.access.gate import Gate
from serving.access.keyring import of_database
from serving.access.passed import Behind
from serving.batching import Batcher, Ran
from serving.challengers import Challengers, Compared
from serving.context import Context, ServedModel
from serving.errors import RETRY_SECONDS
from serving.follower import Follower, Source
from serving.gateway import Gateway, Upstreams
from serving.jobs import routes as jobs
from serving.jobs.events import Streams
from serving.limits import BodyLimit, Deadline
from serving.observed import Observed
from serving.playground import Beside, Playground
from serving.results import Results
from serving.routes import Excludes, ModelRoutes, OneByOne, discover, kinds
from serving.search.searcher import attach
from serving.search.visibility import Hidden
from serving.slots import Answer, Loaded, Slot
from serving.traces import Traced, Traces
from serving.versions import Registered, versions

DESCRIPTION = """Product intelligence for shop listings. Send what is known of a listing; every field may be missing.
A photo travels as base64 in JSON, or as the file `image` of a form; a URL is never fetched.
Errors are `{"error": {"code", "message", "field"}}`. Every answer names the model version that computed it."""


class Everything(Source, Registered, Protocol):
    """A registry: where versions come from, and what is known of all of them."""


class Application(FastAPI):
    """FastAPI answers what nobody foresaw outside of all middleware: what counts requests stands outside of that too."""

    traces: Traces

    def build_middleware_stack(self) -> ASGIApp:
        """The application in all its layers."""
        return Observed(Traced(super().build_middleware_stack(), self.traces), foremost=passed.TOKEN not in os.environ)


def create_app(
    settings: Settings, config: ServingConfig, source: Everything, front: str | None = None, token: str | None = None
) -> FastAPI:
    """The application of one worker; nothing starts before its lifespan does.

    `front` is the token of the front, or gateway, that stands before it (`serving.access.passed`), which then asks for keys in
    its place; `token` is the secret by which `upstreams` know that this is their gateway (`serving.inner`).

    Raises:
        ConfigError: a configured model has no routes.
    """
    available = discover()
    names = tuple(dict.fromkeys((*config.models, *config.upstreams)))
    unknown = [name for name in names if name not in available]
    if unknown:
        where = "models" if unknown[0] in config.models else "upstreams"
        raise ConfigError(f"{where}: {unknown[0]!r} cannot be served; allowed: {', '.join(available)}")
    log = PredictionLog(settings.database_url, config.log_queue)
    slots = {name: Slot(name, awaited=name not in config.unpromoted) for name in names if name not in config.upstreams}
    hidden, traces = Hidden(settings.database_url), Traces()

    def batchers_of(slot: Slot) -> dict[str, Batcher[Any, Answer]]:
        routes = available[slot.name]
        return {method: _batcher(slot, method, config, routes, hidden, traces) for method in routes.METHODS}

    models = {name: ServedModel(slot, batchers_of(slot)) for name, slot in slots.items()}
    followed = {name: available[name] for name in slots} if config.challengers else {}
    challengers = Challengers.of(followed, batchers_of)
    streams = Streams(config.jobs.streams)
    batchers = [batcher for served in (*models.values(), *challengers.models.values()) for batcher in served.batchers.values()]
    upstreams = Upstreams(config, token)
    everything = models | upstreams.models
    page = Playground(settings, config) if config.playground.enabled and front is None else None
    results = Results(settings.database_url, config.results)
    context = Context(settings, config, {name: everything[name] for name in names}, log.record, results)

    def looked(model: str, stale: bool) -> None:
        metrics.model_stale(model, stale)
        metrics.memory_used(gpu_memory())

    def prepare(slot: Slot, loaded: Loaded) -> None:
        held = (places[slot.name].version for places in (slots, challengers.slots) if slot.name in places)
        attach(settings, config, source, slot, loaded, [version for version in held if version is not None])

    follower = Follower(
        source,
        slots,
        challengers=challengers.slots,
        poll_seconds=config.poll_seconds,
        drain_seconds=config.drain_seconds,
        before_swap=prepare,
        on_swap=metrics.model_swapped,
        on_failure=metrics.model_load_failed,
        on_look=looked,
        on_load=metrics.model_loading,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.start()
        for batcher in batchers:
            batcher.start()
        follower.start()
        if config.workers > 1:  # the others answer meanwhile: a new one takes requests when it can answer them
            await to_thread.run_sync(follower.wait)
        unlisten = streams.listen()
        with traces.opened():
            async with upstreams.opened(), page.opened() if page else nullcontext():
                yield
        unlisten()
        follower.stop()
        for batcher in batchers:
            await batcher.stop()
        log.close()

    app = Application(title="Vitrina", version="1", description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.traces = traces
    standing_in = [name for name, routes in available.items() if name not in names and routes.STAND_IN in names]
    routers = {name: available[name].router(context) for name in (*names, *standing_in)}
    for router in routers.values():
        app.include_router(router)
    labels = {label: kind for name in names for label, kind in available[name].LABELS.items()}
    app.include_router(jobs.router(context, kinds(settings.database_url, results), streams))
    app.include_router(system.feedback(context, labels, _labels(names, available)))
    app.include_router(system.models(context, challengers))
    shown = versions(context, source)
    app.include_router(shown)
    app.include_router(system.health(context, challengers))
    openapi.install(app, compared=[path for name in routers for path in available[name].COMPARED])
    errors.install(app)
    app.add_middleware(Compared, challengers=challengers, context=context, routes={name: available[name] for name in routers})
    if upstreams.models:
        stand_ins = {name: available[name].STAND_IN for name in routers}
        app.add_middleware(Gateway, upstreams=upstreams, context=context, routers=routers, shown=shown, stand_ins=stand_ins)
    app.add_middleware(BodyLimit, limit=config.max_body_bytes, seconds=config.request_seconds)
    if page is not None:
        app.add_middleware(Beside, page=page)
    app.add_middleware(Deadline)
    if front is None:
        app.add_middleware(
            Gate, keyring=of_database(settings.database_url, config.access), config=config.access, host=config.host
        )
    else:
        app.add_middleware(Behind, token=front)
    return app


def _labels(names: Sequence[str], available: Mapping[str, ModelRoutes]) -> dict[str, list[str]]:
    """What feedback may say of the answers of each model: its own labels, and those of models that it stands in for."""
    stands_for = {name: [name, *(other for other in names if name == available[other].STAND_IN)] for name in names}
    return {name: [label for other in others for label in available[other].LABELS] for name, others in stands_for.items()}


def _batcher(slot: Slot, method: str, config: ServingConfig, routes: Any, hidden: Hidden, traces: Traces) -> Batcher[Any, Answer]:
    alone, run = isinstance(routes, OneByOne), partial(slot.predict, method=method)
    if isinstance(routes, Excludes):
        run = partial(_without_hidden, run, routes, hidden)
    return Batcher(
        run,
        max_size=1 if alone else config.max_batch_size,
        max_wait=config.max_batch_wait_ms / 1000,
        max_queue=routes.waiting(config) if alone else config.max_queue,
        retry_after=RETRY_SECONDS if alone else 1,
        observe=partial(_ran, slot.name, traces),
        within=traces.current,
    )


def _ran(model: str, traces: Traces, ran: Ran) -> None:
    traces.batch(model, ran)
    metrics.batch_ran(model, [ran.begun - arrived for arrived in ran.arrived], ran.ended - ran.begun, ran.waiting)


def _without_hidden(
    run: Callable[[Sequence[Any]], list[Answer]], routes: Excludes, hidden: Hidden, items: Sequence[Any]
) -> list[Answer]:
    return run(routes.without(items, hidden.now()))
