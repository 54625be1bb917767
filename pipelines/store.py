"""ZenML's store, opened before the first pipeline is declared: the decorator reads it."""

import os
from pathlib import Path

from filelock import FileLock
from zenml.client import Client


def open_store() -> None:
    """Open the store that ZenML is configured for; where there is none yet, this makes it.

    Two processes that make one SQLite file at once collide in ZenML's migrations: one at a time.
    """
    folder = Path(os.environ["ZENML_CONFIG_PATH"])
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "open.lock"):
        assert Client().zen_store is not None  # the attribute opens it
