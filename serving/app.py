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
from serving.jobs import routes as jobs
from serving.jobs.events import Streams
from serving.limits import BodyLimit
from serving.routes import OneByOne, discover, kinds
from serving.slots import Answer, Slot

DESCRIPTION = """Product intelligence for shop listings. Send what is known of a listing; every field may be missing.
A photo travels as base64 in JSON, or as the file `image` of a form; a URL is never fetched.
Errors are `{"error": {"code", "message", "field"}}`. Every answer names the model version that computed it."""


def create_app(settings: Settings, config: ServingConfig, source: Source) -> FastAPI:
    """The application of one worker; nothing starts before its lifespan does.

    Raises:
        ConfigError: a configured model has no routes.
    """
    available = discover()
    unknown = [name for name in config.models if name not in available]
    if unknown:
        raise ConfigError(f"serving.models: {unknown[0]!r} cannot be served; allowed: {', '.join(available)}")
    log = PredictionLog(settings.database_url, config.log_queue)
    slots = {name: Slot(name, awaited=name not in config.unpromoted) for name in config.models}
    models = {
        name: ServedModel(slot, {method: _batcher(slot, method, config, available[name]) for method in available[name].METHODS})
        for name, slot in slots.items()
    }
    streams = Streams(config.jobs.streams)
    batchers = [batcher for served in models.values() for batcher in served.batchers.values()]
    context = Context(settings, config, models, log.record)
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
        yield
        unlisten()
        follower.stop()
        for batcher in batchers:
            await batcher.stop()
        log.close()

    app = FastAPI(title="Vitrina", version="1", description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None)
    standing_in = [name for name, routes in available.items() if name not in config.models and routes.STAND_IN in config.models]
    for name in (*config.models, *standing_in):
        app.include_router(available[name].router(context))
    labels = {label: kind for name in config.models for label, kind in available[name].LABELS.items()}
    app.include_router(jobs.router(context, kinds(), streams))
    app.include_router(system.feedback(context, labels))
    app.include_router(system.models(context))
    app.include_router(system.health(context))
    openapi.install(app)
    errors.install(app)
    app.add_middleware(BodyLimit, limit=config.max_body_bytes, seconds=config.request_seconds)
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
