"""Products that clients deleted or hid, as answers of other models leave them out."""

import threading

from database.catalog import states_since
from database.errors import DatabaseError
from serving.errors import Unavailable


class Hidden:
    """Ids of the products that are deleted or hidden; safe to ask from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._revision, self._ids = 0, frozenset[str]()
        self._reading = threading.Lock()

    def now(self) -> frozenset[str]:
        """As text; the same set until one more is deleted, hidden or shown.

        Raises:
            Unavailable: the database cannot be read, so that nobody knows.
        """
        with self._reading:
            try:
                revision, changed = states_since(self._url, self._revision)
                if revision < self._revision:  # the database was put back to an earlier state
                    self._ids = frozenset()
                    revision, changed = states_since(self._url, 0)
            except DatabaseError as error:
                raise Unavailable("database_unavailable", str(error), 5) from error
            self._revision = revision
            shown = {name for name, state in changed if state == "shown"}
            gone = {name for name, state in changed if state != "shown"}
            if shown & self._ids or gone - self._ids:
                self._ids = (self._ids - shown) | gone
            return self._ids
