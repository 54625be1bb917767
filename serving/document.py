"""The OpenAPI document of the service with every model's routes, made without a registry, a database or a model."""

from pathlib import Path
from typing import Any

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from serving.app import create_app
from serving.routes import discover


class NoChampion:
    """A registry in which nothing was promoted: routes and pages need no model."""

    def champion(self, model: str) -> int:
        """Raises VitrinaError."""
        raise VitrinaError(f"{model} has no champion")

    def challenger(self, model: str) -> None:
        """There is none."""

    def load(self, model: str, version: int) -> Any:
        """Never called, as the others."""
        raise AssertionError(model)

    def digest(self, model: str, version: int) -> str:
        """See `load`."""
        raise AssertionError(model)

    def index(self, model: str, version: int) -> Any:
        """See `load`."""
        raise AssertionError(model)

    def versions(self, model: str, limit: int) -> Any:
        """See `load`."""
        raise AssertionError(model)

    def settled(self, model: str) -> None:
        """See `load`."""
        raise AssertionError(model)


def describe() -> dict[str, Any]:
    """What `/openapi.json` answers where every model is served."""
    settings = Settings(Path(), "sqlite:///:memory:", "sqlite:///:memory:")  # nothing opens them before the lifespan
    document: dict[str, Any] = create_app(settings, ServingConfig(models=tuple(discover())), NoChampion()).openapi()
    return document
