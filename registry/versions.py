"""Names, references such as `product@champion`, and the versions behind them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from configs.settings import Settings
from registry.connection import connected, is_missing
from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
PREFIX = "vitrina-"
_MODEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RESERVED = re.compile(r"latest|v[0-9]+")
_PAGE = 200


@dataclass(frozen=True)
class ModelVersion:
    """One registered version.

    Attributes:
        model: Short name, such as product.
        tags: `vitrina.*` and whatever people added in the MLflow UI.
        aliases: Aliases that point here, sorted.
        run_id: MLflow run whose artifacts hold the bundle and the reports.
        created_at: UTC.
        source: Where MLflow says the bundle lies.
        description: Model card, as Markdown.
    """

    model: str
    version: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    run_id: str
    created_at: datetime
    source: str
    description: str = ""

    @property
    def gates_passed(self) -> bool:
        """Whether the version went through its gates."""
        return self.tags.get("vitrina.gates") == "passed"

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class Reference:
    """What a person writes for a version: MODEL, MODEL@ALIAS or MODEL@VERSION."""

    model: str
    version: int | None = None
    alias: str | None = None


def registered_name(model: str) -> str:
    """`product` is registered as `vitrina-product`.

    Raises:
        RegistryError: not a model's name.
    """
    if not _MODEL.fullmatch(model):
        raise RegistryError(f"model name {model!r} is not allowed: lower-case letters, digits and _, starting with a letter")
    return PREFIX + model


def parse(reference: str) -> Reference:
    """Read `product@champion`, `product@3` or `product` (its champion, or its newest version while it has none).

    Raises:
        RegistryError: none of these.
    """
    model, at, which = reference.partition("@")
    registered_name(model)
    if not at:
        return Reference(model)
    if which.isascii() and which.isdigit() and 0 < int(which) < 2**31:
        return Reference(model, version=int(which))
    if not _ALIAS.fullmatch(which) or _RESERVED.fullmatch(which):
        raise RegistryError(f"{reference!r} is not of the form MODEL, MODEL@ALIAS or MODEL@VERSION (such as {model}@3)")
    return Reference(model, alias=which)


def resolve(settings: Settings, reference: str | Reference) -> ModelVersion:
    """The version that a reference means now.

    Raises:
        RegistryError: no such version or alias; the message lists those that exist.
    """
    wanted = parse(reference) if isinstance(reference, str) else reference
    aliases = alias_targets(settings, wanted.model)
    number = wanted.version
    if number is None:
        number = aliases.get(wanted.alias or CHAMPION)
    found = None if number is None else _get(settings, wanted.model, number, aliases)
    if found is None and wanted == Reference(wanted.model):
        found = next(iter(versions(settings, wanted.model)), None)
    if found is None:
        raise RegistryError(_what_exists(wanted, versions(settings, wanted.model)))
    return found


def find_alias(settings: Settings, model: str, alias: str) -> ModelVersion | None:
    """The version that `alias` points at, or None."""
    aliases = alias_targets(settings, model)
    return _get(settings, model, aliases[alias], aliases) if alias in aliases else None


def versions(settings: Settings, model: str) -> list[ModelVersion]:
    """All versions of `model` that are not deleted, newest first; empty if it was never registered."""
    name = registered_name(model)
    found: list[Any] = []
    with connected(settings) as client:
        token = None
        while True:
            page = client.search_model_versions(
                f"name = '{name}'", max_results=_PAGE, order_by=["version_number DESC"], page_token=token
            )
            found.extend(page)
            token = page.token
            if not token:
                break
        aliases = alias_targets(settings, model) if found else {}
    return sorted((_model_version(model, v, aliases) for v in found), key=lambda v: v.version, reverse=True)


def newest(settings: Settings, model: str, limit: int) -> list[ModelVersion]:
    """The newest versions of `model`, at most 200, in two requests; empty if it was never registered."""
    name = registered_name(model)
    with connected(settings) as client:
        found = client.search_model_versions(f"name = '{name}'", max_results=limit, order_by=["version_number DESC"])
        aliases = alias_targets(settings, model) if found else {}
    return sorted((_model_version(model, v, aliases) for v in found), key=lambda v: v.version, reverse=True)


def alias_targets(settings: Settings, model: str) -> dict[str, int]:
    """Version by alias, in one cheap request: what followers poll. Empty if the model was never registered."""
    from mlflow.exceptions import MlflowException

    with connected(settings) as client:
        try:
            registered = client.get_registered_model(registered_name(model))
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise
    return {alias: int(version) for alias, version in registered.aliases.items()}


def with_champion(settings: Settings, models: Iterable[str]) -> list[str]:
    """Those of `models` that have a champion."""
    return [model for model in models if CHAMPION in alias_targets(settings, model)]


def point(client: "MlflowClient", name: str, alias: str, version: int) -> None:
    """Let `alias` of a registered model point at `version`.

    Two that set a new alias at once collide inside MLflow on its primary key; the one that lost asks again.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException as error:
        if is_missing(error):
            raise
        client.set_registered_model_alias(name, alias, str(version))


def metrics(settings: Settings, version: ModelVersion) -> dict[str, float]:
    """The metrics logged with a version's run, training curves' last values included."""
    with connected(settings) as client:
        return dict(client.get_run(version.run_id).data.metrics)


def _get(settings: Settings, model: str, number: int, aliases: Mapping[str, int]) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    with connected(settings) as client:
        try:
            found = client.get_model_version(registered_name(model), str(number))
        except MlflowException as error:
            if is_missing(error):
                return None
            raise
    return _model_version(model, found, aliases)


def _what_exists(wanted: Reference, found: list[ModelVersion]) -> str:
    if not found:
        return f"model {wanted.model!r} has no registered version yet; `vitrina train {wanted.model}` makes one"
    asked = f"alias {wanted.alias!r}" if wanted.version is None else f"version {wanted.version}"
    aliases = ", ".join(f"{alias} → {v.version}" for v in found for alias in v.aliases) or "none"
    numbers = ", ".join(str(v.version) for v in found[:20]) + (", …" if len(found) > 20 else "")
    return f"model {wanted.model!r} has no {asked}; versions: {numbers}; aliases: {aliases}"


def _model_version(model: str, found: Any, aliases: Mapping[str, int]) -> ModelVersion:
    number = int(found.version)
    return ModelVersion(
        model=model,
        version=number,
        tags=dict(found.tags),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        run_id=found.run_id or "",
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        source=found.source,
        description=found.description or "",
    )
