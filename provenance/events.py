"""What users did with the service's items, as a folder of the delivery that the next training reads."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from catalog.catalogue import Catalogue
from catalog.write import keep_table
from configs.settings import Settings
from database.events import all_events

logger = logging.getLogger(__name__)

_WRITTEN = re.compile(r"/events/[0-9a-f]{16}$")


def with_events(catalogue: Catalogue, settings: Settings) -> Catalogue:
    """`catalogue` and, as a further folder, the events that the service keeps; without events, `catalogue` as it is.

    The folder is named by its content, so the same events give the same delivery. A catalogue that has events of its own is
    taken as it is: the folders of an earlier run are the same delivery again, whatever has happened since.

    Raises:
        DatabaseError: the events cannot be read.
        CatalogueError: the folder cannot be written.
    """
    if "events" in catalogue.tables():
        logger.warning("the events of %s are read, and none that the service keeps", catalogue.path("events"))
        return catalogue
    rows = [(row.user_id, row.item_id, row.kind, row.occurred_at) for row in all_events(settings.database_url)]
    if not rows:
        return catalogue
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "kind", "timestamp"])
    return Catalogue.open(*catalogue.folders, keep_table(_folder(settings), "events", table))


def without_events(folders: Sequence[Path | str]) -> list[Path | str]:
    """`folders` but those that `with_events` wrote, below whichever `$VITRINA_HOME`."""
    return [folder for folder in folders if not _WRITTEN.search(str(folder))]


def _folder(settings: Settings) -> Path:
    return settings.home / "events"
