"""Requests that ask for the challenger: the version of a model that a reviewer may promote next, beside the champion.

It answers from routes of its own, which are made as those of the champions are and keep and log nothing: monitoring sees what
champions said alone, and feedback on a challenger's answer finds no prediction. What writes is left to champions: the catalogue,
events, few-shot tasks and jobs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from configs.schema import ResultsConfig
from registry.versions import CHALLENGER, CHAMPION
from serving import errors
from serving.batching import Batcher
from serving.context import Context, ServedModel
from serving.errors import ApiError, InvalidInput, NoChallenger, error_response
from serving.requests import ALIAS
from serving.results import Results
from serving.routes import ModelRoutes
from serving.slots import Answer, Slot

_HEADER = ALIAS.lower().encode()


@dataclass(frozen=True)
class Challengers:
    """What answers in the champions' place.

    Attributes:
        models: By name, those that may have a challenger here; none where none are followed.
    """

    models: Mapping[str, ServedModel] = field(default_factory=dict)

    @classmethod
    def of(
        cls, routes: Mapping[str, ModelRoutes], batchers: Callable[[Slot], Mapping[str, Batcher[Any, Answer]]]
    ) -> "Challengers":
        """Empty places for the models of `routes` that answer anything a challenger may answer."""
        slots = [Slot(name, awaited=False, alias=CHALLENGER) for name, module in routes.items() if module.COMPARED]
        return cls({slot.name: ServedModel(slot, batchers(slot)) for slot in slots})

    @property
    def slots(self) -> dict[str, Slot]:
        """Where they are loaded."""
        return {name: served.slot for name, served in self.models.items()}

    def version(self, model: str) -> int | None:
        """That answers as the challenger of a model; None where none does."""
        served = self.models.get(model)
        return served.slot.version if served else None


class Compared:
    """ASGI middleware: a request that asks for a challenger is answered by it, or refused.

    Args:
        routes: Routes of each model that is served.
    """

    def __init__(self, app: ASGIApp, challengers: Challengers, context: Context, routes: Mapping[str, ModelRoutes]) -> None:
        self.app, self._challengers, self._context, self._routes = app, challengers, context, routes
        self._models = {path: name for name, module in routes.items() for path in module.COMPARED}
        self._answering = _application(challengers, context, routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        said = [value for name, value in scope.get("headers", ()) if name == _HEADER] if scope["type"] == "http" else []
        try:
            app = self._answering if said and self._asks(scope, said) else self.app
        except ApiError as error:
            await error_response(error)(scope, receive, send)
            return
        await app(scope, receive, send)

    def _asks(self, scope: Scope, said: Sequence[bytes]) -> bool:
        """Whether the request asks for a challenger, which then answers.

        Raises:
            InvalidInput: for no alias that answers, or not by a route that a challenger answers.
            NoChallenger: there is none.
        """
        aliases = {value.decode("latin-1").strip() for value in said}
        if aliases == {CHAMPION}:
            return False
        if aliases != {CHALLENGER}:
            given = ", ".join(sorted(aliases))
            raise InvalidInput(f"{ALIAS}: {given[:100]!r} does not answer; allowed: {CHAMPION}, {CHALLENGER}", ALIAS)
        name = self._models.get(scope["path"]) if scope["method"] == "POST" else None
        if name is None:
            allowed = ", ".join(self._models)
            raise InvalidInput(f"{ALIAS}: a challenger does not answer this; it answers POST {allowed}", ALIAS)
        if not self._challengers.models:
            raise NoChallenger("this service follows no challengers: `challengers` is false in its configuration")
        self._check(name)
        return True

    def _check(self, name: str) -> None:
        """Refuse where neither a model has a challenger, nor the one that stands in for it."""
        stand_in = self._routes[name].STAND_IN
        if self._challengers.version(name) is None and stand_in is not None:
            name = self._context.answering(name, stand_in)
        if self._challengers.version(name) is None:
            raise NoChallenger.of(name)


def _application(challengers: Challengers, context: Context, routes: Mapping[str, ModelRoutes]) -> FastAPI:
    """Their routes, which keep and log nothing."""
    nothing_kept = Results(context.settings.database_url, ResultsConfig(max_bytes=0))
    own = replace(context, models=dict(challengers.models), record=lambda _: None, results=nothing_kept, leaves=False)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for name, module in routes.items():
        if name in challengers.models or module.STAND_IN in challengers.models:
            app.include_router(module.router(own))
    errors.install(app)
    return app
