"""What is known of the request that is being answered, for whoever counts, logs and traces it."""

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID = "X-Request-ID"
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


@dataclass(slots=True)
class About:
    """One request; what answers it fills this in.

    Attributes:
        request_id: The client's own where it is a plain token of at most 128 characters, else one that was made.
        model: That answered, with `version`; empty where none did.
        error: Code of the error that it was answered with.
        elsewhere: Another process answered it, and has counted it.
        trace_id: Where it is traced.
    """

    request_id: str
    model: str = ""
    version: str = ""
    error: str = ""
    elsewhere: bool = False
    trace_id: str = ""


_about: ContextVar[About | None] = ContextVar("about", default=None)


def begin(sent: bytes | None) -> About:
    """What is known of a request at first: its id, of which the client `sent` its own."""
    found = sent.decode("ascii") if sent is not None and _SANE.fullmatch(sent) else uuid.uuid4().hex
    about = About(found)
    _about.set(about)
    return about


def now() -> About | None:
    """What is known of the request that is being answered; None outside of one."""
    return _about.get()


def request_id() -> str | None:
    """Of the request that is being answered; None outside of one."""
    about = _about.get()
    return about.request_id if about else None


def answered(model: str, version: int | None) -> None:
    """A version of a model answers, now or from what is kept; None where none is loaded."""
    about = _about.get()
    if about is not None:
        about.model, about.version = model, "" if version is None else str(version)


def note(*, error: str = "", elsewhere: bool = False) -> None:
    """The code of an error, or that another process answers."""
    about = _about.get()
    if about is not None:
        about.error, about.elsewhere = error or about.error, elsewhere or about.elsewhere
