"""Models that services of their own hold, such as one on a GPU: their routes are passed on, the others are answered here.

A model's routes are those of its router, and the one that shows its versions: a gateway need not reach the registry, by which
whoever does may promote. They pass as they came, as JSON or a form, and are asked again where a connection
breaks, as `serving.front` says; BentoML's protocol between services, which is pickle, is spoken nowhere. What this service says
of such models (/readyz, /v1/models, the metrics) is what their services last said.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from configs.schema import ServingConfig
from monitoring import metrics
from serving.about import answered
from serving.access import passed
from serving.context import Context, ServedModel
from serving.errors import RETRY_SECONDS, ApiError, Unavailable, error_response
from serving.front import Front
from serving.inner import TOKEN
from serving.schemas import ModelState, Readiness
from serving.slots import Answer, Slot
from serving.versions import LOOKED_UP, PREFIX

LOOK_SECONDS = 5.0
"""After so long a service that was asked for its state counts as away."""


class RemoteSlot(Slot):
    """The place of a model that another service holds: what that service last said of it."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name)
        self.url = url
        self.error = f"{url} was not asked yet"
        self._said: ModelState | None = None

    @property
    def version(self) -> int | None:
        """The version that answers there."""
        return self._said.version if self._said else None

    def tell(self, said: ModelState, ready: bool) -> None:
        """Its service answers; one that is ready without a version of the model waits for none."""
        self._said, self.wanted, self.error = said, said.champion, said.last_error
        self.awaited = not ready or said.version is not None

    def away(self, why: str) -> None:
        """Its service does not answer."""
        self._said, self.wanted, self.error, self.awaited = None, None, why, True

    def state(self, challenger: int | None = None) -> ModelState:
        """For /readyz and /v1/models; its service knows its challenger itself."""
        return self._said or ModelState(
            name=self.name, version=None, champion=None, stale=True, loaded_at=None, last_error=self.error, rests_on=None
        )


@dataclass(frozen=True)
class RemoteModel(ServedModel):
    """A model that another service holds: nothing here can ask it but through its routes."""

    async def predict(self, items: Sequence[Any], method: str = "predict", path: str | Sequence[str] = "") -> list[Answer]:
        """Raises Unavailable."""
        raise Unavailable("elsewhere", f"model {self.slot.name} answers at its own routes alone here", RETRY_SECONDS)


class Upstreams:
    """The services that hold models for this one; they are asked for their state every `poll_seconds`.

    Args:
        token: The secret that they ask for, where they do.
    """

    def __init__(self, config: ServingConfig, token: str | None) -> None:
        self._poll = config.poll_seconds
        self._token = token
        self.models = {name: RemoteModel(RemoteSlot(name, url), {}) for name, url in config.upstreams.items()}
        self._fronts = {url: self._front(url, config) for url in config.upstreams.values()}
        self._refused: set[str] = set()

    @property
    def _slots(self) -> list[RemoteSlot]:
        return [served.slot for served in self.models.values() if isinstance(served.slot, RemoteSlot)]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold connections meanwhile, and follow what the services say; each was asked once before."""
        if not self._fronts:
            yield
            return
        async with AsyncExitStack() as stack:
            for front in self._fronts.values():
                await stack.enter_async_context(front.opened())
            timeout = aiohttp.ClientTimeout(total=LOOK_SECONDS)
            session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout))
            await self._look(session)
            following = asyncio.ensure_future(self._follow(session))
            try:
                yield
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def pass_on(self, model: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the service of `model` answer a request.

        Raises:
            ApiError: it does not; nothing was sent.
        """
        slot = next(slot for slot in self._slots if slot.name == model)
        answered(model, slot.version)
        if slot.url in self._refused:
            raise Unavailable("upstream_refused", f"the service of {model} does not take this gateway for its own", RETRY_SECONDS)
        await self._fronts[slot.url].pass_on(scope, receive, send)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(self._poll)
            await self._look(session)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        await asyncio.gather(*(self._ask(session, url) for url in self._fronts))
        for slot in self._slots:
            metrics.model_stale(slot.name, slot.stale)

    async def _ask(self, session: aiohttp.ClientSession, url: str) -> None:
        slots = [slot for slot in self._slots if slot.url == url]
        headers = {passed.FRONT: self._token} if self._token else {}
        try:
            async with session.get(f"{url}/v1/models", headers=headers, allow_redirects=False) as answer:
                refused = answer.status in (401, 403)
            async with session.get(f"{url}/readyz", headers=headers, allow_redirects=False) as answer:
                said = Readiness.model_validate_json(await answer.content.read(1 << 20))
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tell(slots, f"{url} does not answer: {' '.join(str(error).split()) or type(error).__name__}")
            return
        except ValidationError:
            self._tell(slots, f"{url} is no service of models")
            return
        (self._refused.add if refused else self._refused.discard)(url)
        if refused:
            self._tell(slots, f"{url} does not take this gateway for its own: {TOKEN} differs")
            return
        states = {state.name: state for state in said.models}
        for slot in slots:
            if slot.name in states:
                slot.tell(states[slot.name], said.ready)
            else:
                slot.away(f"{url} serves {', '.join(states) or 'nothing'}, not {slot.name}")

    @staticmethod
    def _tell(slots: Sequence[RemoteSlot], why: str) -> None:
        for slot in slots:
            slot.away(why)

    def _front(self, url: str, config: ServingConfig) -> Front:
        names = ", ".join(name for name, where in config.upstreams.items() if where == url)
        return Front(
            lambda: url,
            max_body_bytes=config.max_body_bytes,
            body_seconds=config.request_seconds,
            answer_seconds=config.net_seconds,
            token=self._token,
            counted_there=False,
            given_up=lambda: Unavailable("upstream_away", f"the service of {names} does not answer; try again", RETRY_SECONDS),
        )


class Gateway:
    """ASGI middleware: what belongs to a model of another service is passed on, before the application routes it.

    Args:
        routers: Routes of each model, by its name.
        shown: Routes that show what is known of a model, which their path names.
        stand_ins: The model that answers a model's routes until that has a version, where there is one.
    """

    def __init__(
        self,
        app: ASGIApp,
        upstreams: Upstreams,
        context: Context,
        routers: Mapping[str, APIRouter],
        shown: APIRouter,
        stand_ins: Mapping[str, str | None],
    ) -> None:
        self.app = app
        self._upstreams, self._context, self._routers, self._stand_ins = upstreams, context, routers, stand_ins
        [self._versions] = [route for route in shown.routes if isinstance(route, APIRoute) and route.path == PREFIX + LOOKED_UP]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        model = self._model(scope) if scope["type"] == "http" else None
        if model is None:
            await self.app(scope, receive, send)
            return
        try:
            await self._upstreams.pass_on(model, scope, receive, send)
        except ApiError as error:
            await error_response(error)(scope, receive, send)

    def _model(self, scope: Scope) -> str | None:
        """Whose service answers a request; None where this one does."""
        for name, router in self._routers.items():
            for route in router.routes:
                match, found = route.matches(scope)
                if match == Match.FULL:
                    stand_in = self._stand_ins[name]
                    model = name if stand_in is None else self._context.answering(name, stand_in)
                    if model in self._upstreams.models:
                        scope["route"] = found.get("route", route)  # by which the request is counted
                        return model
                    return None
        match, found = self._versions.matches(scope)
        if match != Match.FULL or found["path_params"]["model"] not in self._upstreams.models:
            return None
        scope["route"] = self._versions
        return str(found["path_params"]["model"])
