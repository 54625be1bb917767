"""What is done of a job, page by page: as lines of JSON or as Parquet, in constant memory."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from pydantic_core import to_json

from database.jobs import Item, ItemState, Job, items
from serving.jobs.schemas import ended, line
from serving.kinds import Column, Kind
from serving.storage import ask

PAGE = 64
"""Items that are held at once; a result has up to a megabyte, where it is an image."""
TYPES = {"text": pa.string(), "numbers": pa.list_(pa.float32()), "bytes": pa.binary()}


async def pages(url: str, job_id: str, states: Sequence[ItemState], start: int, limit: int | None) -> AsyncIterator[list[Item]]:
    """Items from place `start` on, at most `limit`."""
    left = limit
    while left is None or left > 0:
        asked = PAGE if left is None else min(PAGE, left)
        page = await ask(items, url, job_id, states=states, start=start, limit=asked)
        if page:
            yield page
            start = page[-1].place + 1
        if len(page) < asked:
            return
        left = None if left is None else left - len(page)


async def as_lines(found: AsyncIterator[list[Item]]) -> AsyncIterator[bytes]:
    """A line of JSON an item."""
    async for page in found:
        yield await to_thread.run_sync(_lines, page)


def _lines(page: Sequence[Item]) -> bytes:
    return b"".join(to_json(line(item)) + b"\n" for item in page)


async def as_parquet(found: AsyncIterator[list[Item]], job: Job, kind: Kind | None) -> AsyncIterator[bytes]:
    """A row an item, a row group a page; of a `kind` that is not served any more a result is JSON alone."""
    columns = dict(kind.columns) if kind else {}
    said = {"job": job.id, "kind": job.kind, "complete": str(ended(job)).lower()}
    sink = _Sink()
    writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), _schema(columns).with_metadata(said), compression="zstd")
    async for page in found:
        await to_thread.run_sync(_write, writer, columns, page)
        yield sink.taken()
    await to_thread.run_sync(writer.close)
    yield sink.taken()


def _schema(columns: dict[str, Column]) -> pa.Schema:
    fields: list[tuple[str, pa.DataType]] = [("place", pa.int64()), ("state", pa.string())]
    fields += [(f"error_{name}", pa.string()) for name in ("code", "message", "field")]
    fields += [(name, TYPES[column.holds]) for name, column in columns.items()]
    return pa.schema([*fields, ("result", pa.string())])


def _write(writer: pq.ParquetWriter, columns: dict[str, Column], page: Sequence[Item]) -> None:
    rows = [_row(columns, item) for item in page]
    writer.write_table(pa.Table.from_pylist(rows, schema=writer.schema))


def _row(columns: dict[str, Column], item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"place": item.place, "state": item.state}
    row |= {f"error_{name}": value for name, value in (item.error or {}).items()}
    if item.result is not None:
        result = dict(item.result)
        row |= {name: column.take(result) for name, column in columns.items()}
        row["result"] = to_json(result).decode()
    return row


class _Sink:
    """A file that is only written, and taken from as it grows."""

    closed = False

    def __init__(self) -> None:
        self._at, self._pieces = 0, list[bytes]()

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._at += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """What was written stays to be taken."""

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
