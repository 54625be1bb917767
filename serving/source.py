"""Where a worker's versions come from: the registry, or the bundles packed into a Bento."""

from pathlib import Path

from cachetools import LRUCache

from configs.errors import ConfigError
from configs.schema import ServingConfig
from configs.settings import Settings
from models import family
from models.bundles import INDEX
from models.errors import NotSupported
from models.family import Predictor
from registry.bundle import manifest_sha256, verify
from registry.details import RunDetails, details
from registry.errors import RegistryError
from registry.fetch import digest_of, fetch
from registry.promotion import reconcile
from registry.versions import CHALLENGER, CHAMPION, ModelVersion, alias_targets, newest, resolve
from serving.search.index import Index, read

PACKED = "bundles"
"""Folder of a Bento, beside our packages: `bundles/<model>/<version>/`."""
_PLAIN = ServingConfig()


def index_of(bundle: Path) -> Index | None:
    """The index of a bundle; None where it has none.

    Raises:
        VitrinaError: it is damaged.
    """
    return read(bundle / INDEX) if (bundle / INDEX).exists() else None


class RegistrySource:
    """The MLflow registry: alias champion, files verified against their manifest."""

    def __init__(self, settings: Settings, config: ServingConfig = _PLAIN) -> None:
        self._settings, self._config = settings, config
        self._details: LRUCache[str, RunDetails] = LRUCache(1000)  # by run

    def champion(self, model: str) -> int:
        """Version that the alias points at.

        Raises:
            RegistryError: there is no champion, or MLflow does not answer.
        """
        version = alias_targets(self._settings, model).get(CHAMPION)
        if version is None:
            raise RegistryError(f"model {model!r} has no champion; `vitrina promote {model} VERSION --reviewer WHO` makes one")
        return version

    def challenger(self, model: str) -> int | None:
        """Version that its alias points at.

        Raises:
            RegistryError: MLflow does not answer.
        """
        return alias_targets(self._settings, model).get(CHALLENGER)

    def load(self, model: str, version: int) -> Predictor:
        """Fetch, verify, load and warm up."""
        return _loaded(model, self._bundle(model, version), self._config)

    def digest(self, model: str, version: int) -> str:
        """Of the manifest that the version was registered with."""
        return digest_of(resolve(self._settings, f"{model}@{version}"))

    def index(self, model: str, version: int) -> Index | None:
        """Fetch and verify where that was not done, and read."""
        return index_of(self._bundle(model, version))

    def _bundle(self, model: str, version: int) -> Path:
        return fetch(self._settings, resolve(self._settings, f"{model}@{version}"))

    def versions(self, model: str, limit: int) -> list[tuple[ModelVersion, RunDetails]]:
        """The newest versions; what their runs say is asked for once.

        Raises:
            RegistryError: MLflow does not answer.
        """
        found = []
        for version in newest(self._settings, model, limit):
            if (known := self._details.get(version.run_id)) is None:
                known = self._details[version.run_id] = details(self._settings, version)
            found.append((version, known))
        return found

    def settled(self, model: str) -> None:
        """Write promotions that were done in the MLflow UI to the ledger."""
        reconcile(self._settings, model)


class PackedSource:
    """The bundles inside a Bento: what was champion when it was built, for machines that reach no registry."""

    def __init__(self, folder: Path, config: ServingConfig = _PLAIN) -> None:
        self._folder, self._config = folder, config

    def champion(self, model: str) -> int:
        """The one version that was packed.

        Raises:
            ConfigError: there is none, or more than one.
        """
        versions = sorted(path.name for path in (self._folder / model).glob("*") if path.is_dir())
        if len(versions) != 1 or not versions[0].isdigit():
            raise ConfigError(f"{self._folder / model} must hold one packed version; it holds: {', '.join(versions) or 'none'}")
        return int(versions[0])

    def challenger(self, model: str) -> None:
        """None: only a champion is packed."""

    def load(self, model: str, version: int) -> Predictor:
        """Verify, load and warm up."""
        return _loaded(model, self._bundle(model, version), self._config)

    def digest(self, model: str, version: int) -> str:
        """Of the manifest that was packed."""
        return manifest_sha256(self._folder / model / str(version))

    def index(self, model: str, version: int) -> Index | None:
        """Verify and read."""
        return index_of(self._bundle(model, version))

    def _bundle(self, model: str, version: int) -> Path:
        bundle = self._folder / model / str(version)
        verify(bundle)
        return bundle

    def versions(self, model: str, limit: int) -> list[tuple[ModelVersion, RunDetails]]:
        """Raises NotSupported."""
        raise NotSupported("this service was built with its models and asks no registry for others")

    def settled(self, model: str) -> None:
        """Nothing: a Bento has no ledger."""


def with_packed(config: ServingConfig, folder: Path) -> ServingConfig:
    """The configuration, with the models that were packed where it names none itself."""
    if "models" in config.model_fields_set or not folder.is_dir():
        return config
    return config.model_copy(update={"models": tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))})


def _loaded(model: str, bundle: Path, config: ServingConfig) -> Predictor:
    return family.load(model, bundle, config.device, config.precision, config.compile)
