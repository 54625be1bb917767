"""The ASGI application: every route, and the parts of a worker that start and stop with it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.errors import ConfigError
from configs.schema import ServingConfig
from configs.settings import Settings
from monitoring import metrics
from monitoring.prediction_log import PredictionLog
from serving import errors, openapi, system
from serving.batching import Batcher
from serving.context import Context, ServedModel
from serving.errors import RETRY_SECONDS
from serving.follower import Follower, Source
from serving.gateway import Gateway, Upstreams
from serving.inner import GatewayOnly
from serving.jobs import routes as jobs
from serving.jobs.events import Streams
from serving.limits import BodyLimit
from serving.routes import OneByOne, discover, kinds
from serving.slots import Answer, Slot

DESCRIPTION = """Product intelligence for shop listings. Send what is known of a listing; every field may be missing.
A photo travels as base64 in JSON, or as the file `image` of a form; a URL is never fetched.
Errors are `{"error": {"code", "message", "field"}}`. Every answer names the model version that computed it."""


def create_app(settings: Settings, config: ServingConfig, source: Source, token: str | None = None) -> FastAPI:
    """The application of one worker; nothing starts before its lifespan does.

    `token` is the secret between a gateway and the services behind it (`serving.inner`): with `upstreams` it is told to them,
    without it is asked for.

    Raises:
        ConfigError: a configured model has no routes.
    """
    available = discover()
    names = tuple(dict.fromkeys((*config.models, *config.upstreams)))
    unknown = [name for name in names if name not in available]
    if unknown:
        where = "models" if unknown[0] in config.models else "upstreams"
        raise ConfigError(f"serving.{where}: {unknown[0]!r} cannot be served; allowed: {', '.join(available)}")
    log = PredictionLog(settings.database_url, config.log_queue)
    slots = {name: Slot(name, awaited=name not in config.unpromoted) for name in names if name not in config.upstreams}
    models = {
        name: ServedModel(slot, {method: _batcher(slot, method, config, available[name]) for method in available[name].METHODS})
        for name, slot in slots.items()
    }
    streams = Streams(config.jobs.streams)
    batchers = [batcher for served in models.values() for batcher in served.batchers.values()]
    upstreams = Upstreams(config, token)
    everything = models | upstreams.models
    context = Context(settings, config, {name: everything[name] for name in names}, log.record)
    follower = Follower(
        source,
        slots,
        poll_seconds=config.poll_seconds,
        drain_seconds=config.drain_seconds,
        on_swap=metrics.model_swapped,
        on_failure=metrics.model_load_failed,
        on_look=metrics.model_stale,
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
        async with upstreams.opened():
            yield
        unlisten()
        follower.stop()
        for batcher in batchers:
            await batcher.stop()
        log.close()

    app = FastAPI(title="Vitrina", version="1", description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None)
    standing_in = [name for name, routes in available.items() if name not in names and routes.STAND_IN in names]
    routers = {name: available[name].router(context) for name in (*names, *standing_in)}
    for router in routers.values():
        app.include_router(router)
    labels = {label: kind for name in names for label, kind in available[name].LABELS.items()}
    app.include_router(jobs.router(context, kinds(), streams))
    app.include_router(system.feedback(context, labels))
    app.include_router(system.models(context))
    app.include_router(system.health(context))
    openapi.install(app)
    errors.install(app)
    if upstreams.models:
        stand_ins = {name: available[name].STAND_IN for name in routers}
        app.add_middleware(Gateway, upstreams=upstreams, context=context, routers=routers, stand_ins=stand_ins)
    app.add_middleware(BodyLimit, limit=config.max_body_bytes, seconds=config.request_seconds)
    if token is not None and not upstreams.models:
        app.add_middleware(GatewayOnly, token=token)
    app.add_middleware(Observed)
    return app


def _batcher(slot: Slot, method: str, config: ServingConfig, routes: Any) -> Batcher[Any, Answer]:
    alone = isinstance(routes, OneByOne)
    return Batcher(
        partial(slot.predict, method=method),
        max_size=1 if alone else config.max_batch_size,
        max_wait=config.max_batch_wait_ms / 1000,
        max_queue=routes.waiting(config) if alone else config.max_queue,
        retry_after=RETRY_SECONDS if alone else 1,
        observe=metrics.batch_ran,
    )


class Observed:
    """ASGI middleware: counts and times requests by route template, so that paths do not become labels."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                path = getattr(scope.get("route"), "path", "unknown")
                metrics.request_done(path, status, time.perf_counter() - start)
            await send(message)

        await self.app(scope, receive, watched)
