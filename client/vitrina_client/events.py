"""Server-sent events, line by line, as the HTML standard's section 9.2.6 reads them."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event; `id` is the last that the stream named."""

    name: str
    data: str
    id: str | None


class Reader:
    """Takes the lines of a stream, without their ends."""

    def __init__(self) -> None:
        self._name, self._data = "message", list[str]()
        self._id: str | None = None

    def feed(self, line: str) -> Iterator[Event]:
        """The event that `line` ends, where it ends one."""
        if line:
            self._field(line)
            return
        if self._data:
            yield Event(self._name, "\n".join(self._data), self._id)
        self._name, self._data = "message", []

    def _field(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            self._id = value
