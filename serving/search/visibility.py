"""Products that clients deleted or hid, as answers of other models leave them out."""

import logging
import threading

from database.catalog import states_since
from database.errors import DatabaseError

logger = logging.getLogger(__name__)


class Hidden:
    """Ids of the products that are deleted or hidden; safe to ask from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._revision, self._ids = 0, frozenset[str]()
        self._away = False
        self._reading = threading.Lock()

    def now(self) -> frozenset[str]:
        """As text; the same set until one more is deleted, hidden or shown.

        While the database is away, through which alone that happens, what is known stays.
        """
        with self._reading:
            try:
                self._read()
                self._away = False
            except DatabaseError as error:
                if not self._away:
                    logger.warning("hidden products stay as they are known: %s", error)
                self._away = True
            return self._ids

    def _read(self) -> None:
        revision, changed = states_since(self._url, self._revision)
        if revision < self._revision:  # the database was put back to an earlier state
            self._ids = frozenset()
            revision, changed = states_since(self._url, 0)
        self._revision = revision
        shown = {name for name, state in changed if state == "shown"}
        gone = {name for name, state in changed if state != "shown"}
        if shown & self._ids or gone - self._ids:
            self._ids = (self._ids - shown) | gone
