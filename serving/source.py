"""Where a worker's versions come from: the registry, or the bundles packed into a Bento."""

from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.settings import Settings
from models import family

PACKED = "bundles"
"""Folder of a Bento, beside our packages: `bundles/<model>/<version>/`."""


class RegistrySource:
    """The MLflow registry: alias champion, files verified against their manifest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def champion(self, model: str) -> int:
        """Version that the alias points at."""
        from registry.versions import resolve  # MLflow takes seconds to import: not before the first look

        return resolve(self._settings, f"{model}@champion").version

    def load(self, model: str, version: int) -> Any:
        """Fetch, verify, load and warm up."""
        from registry.fetch import fetch
        from registry.versions import resolve

        bundle = fetch(self._settings, resolve(self._settings, f"{model}@{version}"))
        return family.get(model).load(bundle)

    def settled(self, model: str) -> None:
        """Write promotions that were done in the MLflow UI to the ledger."""
        from registry.promotion import reconcile

        reconcile(self._settings, model)


class PackedSource:
    """The bundles inside a Bento: what was champion when it was built, for machines that reach no registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def champion(self, model: str) -> int:
        """The one version that was packed."""
        versions = sorted(path.name for path in (self._folder / model).glob("*") if path.is_dir())
        if len(versions) != 1 or not versions[0].isdigit():
            raise ConfigError(f"{self._folder / model} must hold one packed version; it holds: {', '.join(versions) or 'none'}")
        return int(versions[0])

    def load(self, model: str, version: int) -> Any:
        """Verify, load and warm up."""
        from registry.bundle import verify

        bundle = self._folder / model / str(version)
        verify(bundle)
        return family.get(model).load(bundle)

    def settled(self, model: str) -> None:
        """Nothing: a Bento has no ledger."""
