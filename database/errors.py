"""What can go wrong with the application database, in one line each; no address shown holds a password."""

from configs.errors import VitrinaError


class DatabaseError(VitrinaError):
    """The database cannot be reached, read or written."""


class Unstorable(DatabaseError):
    """A value cannot be kept, whatever the state of the database."""


class NotFound(DatabaseError):
    """A row that was named does not exist; `name` is what it was called, where several were named."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class OtherModel(DatabaseError):
    """The prediction that was named is of a `model` whose answers take no such labels; `name` is what it was called."""

    def __init__(self, name: str, model: str) -> None:
        super().__init__(f"prediction {name!r} is an answer of {model}")
        self.name, self.model = name, model


class LedgerMoved(DatabaseError):
    """Somebody appended to the ledger first: read it again and decide anew."""


class TaskMoved(DatabaseError):
    """Somebody taught a few-shot task more first: read its newest version, and teach that."""


class AlreadyDone(DatabaseError):
    """The request was done before: read what came of it."""


class RequestReused(DatabaseError):
    """Something else was asked for before by the same name of a request."""


class QueueFull(DatabaseError):
    """Too much waits already."""


class CatalogFull(DatabaseError):
    """Clients have put as many products as they may."""
