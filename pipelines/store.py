"""ZenML's store, opened before the first pipeline is declared: the decorator reads it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from filelock import FileLock
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.exceptions import AuthorizationException, CredentialsNotValid

from configs.errors import VitrinaError

SECONDS = 10.0
"""Longest wait for a ZenML server to say that it is there."""


def open_store() -> None:
    """Open the store that ZenML is configured for; where there is none yet, this makes it.

    Two processes that make one SQLite file at once collide in ZenML's migrations: one at a time.

    Raises:
        VitrinaError: the store is a server, and it does not answer or does not know who asks.
    """
    folder = Path(os.environ["ZENML_CONFIG_PATH"])
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "open.lock"):
        url = GlobalConfiguration().store_configuration.url
        require_answer(url)
        with logged_in(url):
            assert Client().zen_store is not None  # the attribute opens it


@contextmanager
def logged_in(url: str) -> Iterator[None]:
    """Says how, where a server does not know who asks."""
    try:
        yield
    except (AuthorizationException, CredentialsNotValid) as error:
        login = f"ZENML_CONFIG_PATH={os.environ['ZENML_CONFIG_PATH']} zenml login {url}"
        raise VitrinaError(f"the ZenML server {url} asks who you are: `{login}`, or set ZENML_STORE_API_KEY") from error


def require_answer(url: str) -> None:
    """Ask a server whether it is there, once; ZenML itself goes on asking for half a minute.

    Raises:
        VitrinaError: it is not.
    """
    if not url.startswith("http"):
        return
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise VitrinaError(
            f"no ZenML server answers at {url}: {error}; `vitrina stack local` goes back to this machine"
        ) from error
