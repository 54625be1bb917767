"""Routes that show a model's versions, as the registry knows them, and who promoted which, as the ledger does."""

import asyncio
from datetime import datetime
from typing import Protocol

from cachetools import TTLCache
from fastapi import APIRouter, Request, Response
from pydantic import Field

from configs.schema import ServingConfig
from configs.settings import Settings
from database.ledger import Action, Promotion, newest_promotions
from models.bundles import RESTS_ON
from models.errors import NotSupported as CannotAnswer
from registry.connection import is_http, shown
from registry.details import RunDetails
from registry.errors import RegistryError
from registry.register import REPORTS, headline_of
from registry.versions import ModelVersion, registered_name
from serving.context import Context
from serving.errors import RETRY_SECONDS, ApiError, NotFound, Unavailable, refused
from serving.openapi import in_path, in_query, responses
from serving.replies import json_reply
from serving.requests import count
from serving.schemas import ResponseModel
from serving.storage import ask

PREFIX, LOOKED_UP = "/v1/models", "/{model}/versions"
"""The path of these routes, and of the one among them that asks the registry."""
LISTED, MAX_LISTED = 20, 100
SECONDS = 5.0
"""How old an answer, or a refusal, may be: however many ask, MLflow is asked once in that time."""


class Registered(Protocol):
    """A registry."""

    def versions(self, model: str, limit: int) -> list[tuple[ModelVersion, RunDetails]]:
        """The newest versions of a model, with what their runs say."""
        ...


class GateMetric(ResponseModel):
    """A metric that gates hold, as it was measured before the version was registered."""

    name: str = Field(examples=["article_type_accuracy"])
    value: float = Field(examples=[0.912])
    low: float | None = Field(description="of the 95 % interval; null where it has none", examples=[0.905])
    high: float | None = Field(description="likewise", examples=[0.919])


class Links(ResponseModel):
    """Pages of MLflow; null and empty where its address is not known to the service."""

    version: str | None = Field(examples=["https://mlflow.example/#/models/vitrina-product/versions/4"])
    run: str | None
    reports: dict[str, str] = Field(description="by file name", examples=[{"evaluation.html": "https://mlflow.example/#/…"}])


class RegisteredVersion(ResponseModel):
    """A version of a model."""

    version: int = Field(examples=[4])
    aliases: list[str] = Field(description="such as champion, challenger and previous", examples=[["challenger"]])
    registered_at: datetime
    gates: str = Field(description="passed or failed; unknown where it was not trained here", examples=["passed"])
    gate_failures: str = Field(description="why it did not pass, one line")
    metrics: list[GateMetric] = Field(description="those that its gates hold")
    headline: str = Field(description="Markdown: what a reviewer reads first")
    links: Links
    data_fingerprint: str | None = Field(description="SHA-256 of the catalogue that it was trained on; null where not known")
    rests_on: str | None = Field(description="version of another model that it holds a copy of", examples=["product@3"])


class RegisteredVersions(ResponseModel):
    """Versions of a model, newest first."""

    model: str = Field(examples=["product"])
    versions: list[RegisteredVersion]


class Move(ResponseModel):
    """Who moved champion, and where to."""

    at: datetime
    who: str = Field(description="the reviewer, or MLflow UI", examples=["ada"])
    note: str
    action: Action
    from_version: int | None = Field(description="null where there was no champion", examples=[3])
    to_version: int | None = Field(description="null where there is none since", examples=[4])


class Moves(ResponseModel):
    """Moves of a model's champion, newest first."""

    model: str = Field(examples=["product"])
    moves: list[Move]


def versions(context: Context, source: Registered) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix=PREFIX, tags=["models"])
    known: TTLCache[tuple[str, int], RegisteredVersions | ApiError] = TTLCache(1000, SECONDS)
    asking = asyncio.Lock()
    name, page = in_path("model", "one of those that are served"), page_of(context.settings, context.config)

    async def looked(model: str, limit: int) -> RegisteredVersions | ApiError:
        try:
            found = await ask(source.versions, model, limit)
        except RegistryError as error:
            return Unavailable("registry_unavailable", str(error), RETRY_SECONDS)
        except CannotAnswer as error:
            return refused(error)
        return RegisteredVersions(model=model, versions=[_version(page, *one) for one in found])

    @routes.get(
        LOOKED_UP,
        operation_id="list_versions",
        summary="Versions of a model",
        response_model=RegisteredVersions,
        responses=responses(400, 404, 501, 503),
        openapi_extra={"parameters": [name, in_query("limit", "versions at most", LISTED, MAX_LISTED)]},
    )
    async def list_versions(request: Request) -> Response:
        """Their aliases, gates, metrics and reports, as the registry says, which is asked every few seconds at most.

        501 where the service was built with its models, and has no registry.
        """
        asked = _model(context, request), count(request, "limit", LISTED, MAX_LISTED)
        async with asking:
            if (answer := known.get(asked)) is None:
                answer = known[asked] = await looked(*asked)
        if isinstance(answer, ApiError):
            raise answer
        return json_reply(answer)

    @routes.get(
        "/{model}/history",
        operation_id="list_moves",
        summary="Who promoted which version of a model",
        response_model=Moves,
        responses=responses(400, 404, 503),
        openapi_extra={"parameters": [name, in_query("limit", "moves at most", LISTED, MAX_LISTED)]},
    )
    async def list_moves(request: Request) -> Response:
        """Promotions and rollbacks, those in MLflow's page among them."""
        model, limit = _model(context, request), count(request, "limit", LISTED, MAX_LISTED)
        found = await ask(newest_promotions, context.settings.database_url, model, limit)
        return json_reply(Moves(model=model, moves=[_move(row) for row in found]))

    return routes


def page_of(settings: Settings, config: ServingConfig) -> str | None:
    """Where a browser finds MLflow's page; None where nobody says."""
    known = config.mlflow_ui or (shown(settings.tracking_uri) if is_http(settings.tracking_uri) else "")
    return known.rstrip("/") or None


def _model(context: Context, request: Request) -> str:
    name: str = request.path_params["model"]
    if name not in context.models:
        raise NotFound(f"model {name[:100]!r} is not served here; served: {', '.join(context.models)}", "model")
    return name


def _version(page: str | None, version: ModelVersion, run: RunDetails) -> RegisteredVersion:
    told = version.tags
    return RegisteredVersion(
        version=version.version,
        aliases=list(version.aliases),
        registered_at=version.created_at,
        gates=told.get("vitrina.gates", "unknown"),
        gate_failures=told.get("vitrina.gate_failures", ""),
        metrics=[_metric(name, run) for name in run.gated if name in run.metrics],
        headline=headline_of(version.description),
        links=_links(page, version, run),
        data_fingerprint=told.get("vitrina.data_fingerprint"),
        rests_on=told.get(RESTS_ON),
    )


def _metric(name: str, run: RunDetails) -> GateMetric:
    low, high = (run.metrics.get(f"{name}_{end}") for end in ("low", "high"))
    return GateMetric(name=name, value=run.metrics[name], low=low, high=high)


def _links(page: str | None, version: ModelVersion, run: RunDetails) -> Links:
    if page is None:
        return Links(version=None, run=None, reports={})
    of_version = f"{page}/#/models/{registered_name(version.model)}/versions/{version.version}"
    if not run.experiment:
        return Links(version=of_version, run=None, reports={})
    of_run = f"{page}/#/experiments/{run.experiment}/runs/{version.run_id}"
    return Links(version=of_version, run=of_run, reports={name: f"{of_run}/artifacts/{REPORTS}/{name}" for name in run.reports})


def _move(row: Promotion) -> Move:
    return Move(
        at=row.created_at,
        who=row.who,
        note=row.why,
        action=row.action,
        from_version=row.from_version,
        to_version=row.to_version,
    )
