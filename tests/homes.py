"""Homes with the embedded stores."""

import atexit
import contextlib
import functools
import shutil
import sqlite3
import tempfile
from pathlib import Path

from configs.settings import Settings
from registry.versions import alias_targets


def settings_of(home: Path) -> Settings:
    """The defaults of `home`."""
    return Settings(home=home, database_url=f"sqlite:///{home / 'vitrina.db'}", tracking_uri=f"sqlite:///{home / 'mlflow.db'}")


def fresh(home: Path) -> Settings:
    """The same of a new home, whose MLflow has its tables and nothing in them: a copy, since making them takes two seconds."""
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stores = (_empty_store(), home / "mlflow.db")
        source, copy = (stack.enter_context(contextlib.closing(sqlite3.connect(store))) for store in stores)
        source.backup(copy)
    return settings_of(home)


@functools.cache
def _empty_store() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vitrina-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    alias_targets(settings_of(folder), "product")
    return folder / "mlflow.db"
