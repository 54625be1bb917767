# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""Rows of a source as typed rows of a catalogue table, a batch at a time."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.importing.attributes import NoAttributes, as_json, parse
from catalog.importing.dates import read_dates
from catalog.importing.findings import Findings, is_number, is_whole
from catalog.importing.labels import KIND_WORDS, SPLIT_WORDS, word
from catalog.importing.mapping import LABELS
from catalog.importing.numbers import explain
from catalog.importing.quarantine import REPEATED, Fault, Quarantine
from catalog.importing.relation import KEPT, ROW, Relation
from catalog.importing.source import LINE
from catalog.importing.sql import name
from catalog.importing.variants import KEY as GROUP
from catalog.importing.variants import OPTIONS, PHOTOS, PRODUCTS, joined, number
from catalog.schema import EVENT_KINDS, KEY, REQUIRED, SPLITS, TABLES, is_key

BATCH = 50_000
"""Rows that are in memory at a time."""

BATCH_WITH_PHOTOS = 2_000
"""The same where each may have photos, so that progress is seen."""

_WORDS = {"split": (SPLIT_WORDS, SPLITS), "kind": (KIND_WORDS, EVENT_KINDS)}
_ATTRIBUTES = "attributes"
_GUESTS = ("user_id",)  # rows without one are no fault of the file: guests buy, too
_RAW = "__raw_"
_Strings = list[str | None]

Photos = Callable[[Sequence[Any], Sequence[Sequence[str | None] | None]], list[bool]]
"""Takes up the photos of products, given their ids and the photos' names; which of the products have any."""


@dataclass
class Batch:
    """Rows on their way.

    Attributes:
        raw: As DuckDB hands them on.
        lines: Of the file.
        places: In the table.
        stays: Whether a row is still in.
        columns: Ours, as far as they are read.
    """

    raw: pa.Table
    lines: NDArray[np.int64]
    places: NDArray[np.int64]
    stays: NDArray[np.bool_]
    columns: dict[str, pa.Array] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> "Batch":
        """All of them are in."""
        raw = pa.table(batch).combine_chunks()
        lines, places = (raw[column].to_numpy() for column in (LINE, ROW))
        return cls(raw, lines, places, np.ones(raw.num_rows, dtype=bool))

    def texts(self, column: str) -> pa.Array:
        """A column of texts."""
        return _one(self.raw[column]).cast(pa.string())

    def where(self, mask: pa.Array) -> list[int]:
        """Places of true values among the rows that are in."""
        return [int(i) for i in np.flatnonzero(mask.to_numpy(zero_copy_only=False) & self.stays)]


@dataclass
class TableReader:
    """Reads the rows of a relation.

    Attributes:
        relation: The rows.
        findings: What all of them say.
        quarantine: Takes those that stay out, and counts values that are dropped.
        names: SQL for a row's photos; None where no photos are brought in.
        photos: Takes up photos.
        left_out: Products, by the value that groups their rows, that stay out; where rows are grouped.
    """

    relation: Relation
    findings: Findings
    quarantine: Quarantine
    names: str | None = None
    photos: Photos | None = None
    left_out: set[str] = field(default_factory=set)
    _first: dict[str, int] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Columns that the table gets."""
        return pa.schema([(column, self._type(column)) for column in TABLES[self._table] if column in self._filled()])

    def batches(self) -> Iterator[tuple[int, pa.Table]]:
        """Rows read so far, and the rows of a batch that come in."""
        size = BATCH if self.photos is None else BATCH_WITH_PHOTOS
        done = 0
        for raw in self.relation.source.connection.sql(self._query()).to_arrow_reader(size):
            done += raw.num_rows
            yield done, self._read(Batch.of(raw))

    @property
    def _table(self) -> str:
        return self.relation.mapping.table

    @property
    def _grouped(self) -> bool:
        return self.relation.mapping.variants is not None

    def _filled(self) -> list[str]:
        mapping = self.relation.mapping
        levels = [level for split in mapping.split.values() for level in split.into if level is not None]
        made = [_ATTRIBUTES] if self.relation.inputs.attributed else []
        return [*self.relation.given(), *levels, *made]

    def _type(self, column: str) -> pa.DataType:
        if is_key(column):
            return pa.int64() if column in self.findings.integers else pa.string()
        return TABLES[self._table][column]

    def _query(self) -> str:
        relation = self.relation
        selected = [LINE, ROW]
        for column in relation.given():
            value = relation.expression(column)
            if is_number(self._table, column):
                read, raw = (number(column), "NULL") if self._grouped else self._number(column, value)
                selected += [f"{read} AS {name(column)}", f"CAST({raw} AS VARCHAR) AS {name(_RAW + column)}"]
            else:
                selected.append(f"{value} AS {name(column)}")
        selected += [f"{name(column)} AS {name(_RAW + _RAW + column)}" for column in self._inputs()]
        if self.names is not None:
            selected.append(PHOTOS if self._grouped else f"{self.names} AS {PHOTOS}")
        selected += [GROUP, OPTIONS] if self._grouped else []
        return f"SELECT {', '.join(selected)} FROM {PRODUCTS if self._grouped else KEPT}"

    def _number(self, column: str, value: str) -> tuple[str, str]:
        """SQL for a number, and for its text where that may be needed to say what is wrong with it."""
        read = self.findings.forms[column].expression(value)
        return read, value if is_whole(self._table, column) else f"CASE WHEN {read} IS NULL THEN {value} END"

    def _inputs(self) -> list[str]:
        """Columns of the file that are read beside those that are mapped one to one."""
        inputs = self.relation.inputs
        pairs = [column for pair in inputs.pairs for column in pair]
        tags = [inputs.tags] if inputs.tags is not None else []
        return list(dict.fromkeys([*self.relation.mapping.split, *inputs.attributes, *pairs, *inputs.texts, *tags]))

    def _read(self, batch: Batch) -> pa.Table:
        self._split_paths(batch)
        for column in self.relation.given():
            self._read_column(batch, column)
        if self.relation.inputs.attributed or _ATTRIBUTES in self.relation.given():
            batch.columns[_ATTRIBUTES] = self._attributes(batch)
        for column in REQUIRED[self._table]:
            self._need(batch, column)
        self._refuse_repeated(batch)
        if self._table == "products":
            self._need_something(batch)
        if self._grouped:
            groups = batch.raw[GROUP].to_pylist()
            self.left_out.update(group for group, stays in zip(groups, batch.stays, strict=True) if not stays)
        columns = [batch.columns[column].cast(self._type(column)) for column in self.schema.names]
        return pa.table(columns, schema=self.schema).filter(pa.array(batch.stays))

    def _read_column(self, batch: Batch, column: str) -> None:
        if is_key(column):
            integers = column in self.findings.integers
            batch.columns[column] = batch.texts(column).cast(pa.int64()) if integers else batch.texts(column)
        elif is_number(self._table, column):
            batch.columns[column] = self._numbers(batch, column)
        elif column in _WORDS:
            batch.columns[column] = self._words(batch, column)
        elif pa.types.is_timestamp(TABLES[self._table][column]):
            batch.columns[column] = self._dates(batch, column)
        elif column in LABELS:
            labels = self.findings.labels.get(column)
            batch.columns[column] = batch.texts(column) if labels is None else _by_value(batch.texts(column), labels.get)
        else:
            batch.columns[column] = batch.texts(column)

    def _numbers(self, batch: Batch, column: str) -> pa.Array:
        read, raw = _one(batch.raw[column]), batch.texts(_RAW + column)
        whole = is_whole(self._table, column)
        if whole:
            fits = pc.and_(pc.equal(read, pc.round(read)), pc.less(pc.abs(read), 2.0**63))
            read = pc.if_else(pc.fill_null(fits, False), read, pa.scalar(None, pa.float64())).cast(pa.int64())
        form = self.findings.forms[column]
        failed = pc.and_(pc.is_null(read), pc.is_valid(raw))
        self._unreadable(batch, column, failed, lambda value: explain(value, form, whole), raw)
        return read

    def _dates(self, batch: Batch, column: str) -> pa.Array:
        forms = self.relation.mapping.date_format
        raw = batch.texts(column)
        read = read_dates(raw, forms)
        failed = pc.and_(pc.is_null(read), pc.is_valid(raw))
        drop = column not in REQUIRED[self._table]
        self._unreadable(batch, column, failed, lambda value: f"{value!r} is no date of the form {' or '.join(forms)}", raw, drop)
        return read

    def _words(self, batch: Batch, column: str) -> pa.Array:
        words, allowed = _WORDS[column]
        raw = batch.texts(column)
        read = _by_value(raw, lambda value: word(value, words))
        failed = pc.and_(pc.is_null(read), pc.is_valid(raw))
        self._unreadable(batch, column, failed, lambda value: f"{value!r} is none of {', '.join(allowed)}", raw)
        return read

    def _unreadable(
        self, batch: Batch, column: str, failed: pa.Array, why: Callable[[str], str], raw: pa.Array, drop: bool = False
    ) -> None:
        for i in batch.where(failed):
            default = "drop" if drop else "quarantine"
            detail = why(raw[i].as_py())
            place = int(batch.lines[i]), int(batch.places[i])
            batch.stays[i] = self.quarantine.unreadable(column, *place, detail, default)  # type: ignore[arg-type]

    def _split_paths(self, batch: Batch) -> None:
        """Our columns that a path fills."""
        for column, split in self.relation.mapping.split.items():
            raw = batch.texts(_RAW + _RAW + column)
            found = self.findings.paths[column]
            for level, ours in enumerate(split.into):
                if ours is not None:
                    batch.columns[ours] = _by_value(raw, self._labelled(ours, found, level))

    def _labelled(self, column: str, paths: Mapping[str, tuple[str | None, ...]], level: int) -> Callable[[str], str | None]:
        values = self.relation.mapping.values.get(column, {})
        labels = self.findings.labels.get(column)

        def read(path: str) -> str | None:
            found = paths[path][level]
            label = None if found is None else values.get(found, found)
            return label if labels is None or label is None else labels[label]

        return read

    def _attributes(self, batch: Batch) -> pa.Array:
        """A JSON object a row; what is named first counts."""
        inputs = self.relation.inputs
        cells = {column: self._cells(batch, column) for column in self._inputs() if column not in self.relation.mapping.split}
        rows: list[list[tuple[str | None, str | None]]] = [[] for _ in range(batch.raw.num_rows)]
        if self._grouped:
            for row, options in zip(rows, batch.raw[OPTIONS].to_pylist(), strict=True):
                row += joined(options)
        for named, column in [(column, column) for column in inputs.attributes]:
            for row, value in zip(rows, cells[column], strict=True):
                row.append((named, value))
        for named, column in inputs.pairs:
            for row, own, value in zip(rows, cells[named], cells[column], strict=True):
                row.append((own, value))
        for column in inputs.texts:
            self._parsed(batch, rows, cells[column])
        if _ATTRIBUTES in self.relation.given():
            self._parsed(batch, rows, batch.columns[_ATTRIBUTES].to_pylist())
        if (tags := self.relation.mapping.tags) is not None:
            for row, value in zip(rows, cells[tags.column], strict=True):
                row.append((tags.attribute, _tags(value, tags.separator)))
        return pa.array([as_json(row) for row in rows], pa.string())

    def _cells(self, batch: Batch, column: str) -> _Strings:
        found: _Strings = batch.texts(_RAW + _RAW + column).to_pylist()
        return found

    def _parsed(self, batch: Batch, rows: list[list[tuple[str | None, str | None]]], cells: _Strings) -> None:
        """Attributes of cells with several; a cell that cannot be read has none."""
        for i, cell in enumerate(cells):
            if cell is None or not batch.stays[i]:
                continue
            try:
                rows[i] += parse(cell).items()
            except NoAttributes as error:
                place = int(batch.lines[i]), int(batch.places[i])
                batch.stays[i] = self.quarantine.unreadable(_ATTRIBUTES, *place, str(error), "drop")

    def _need(self, batch: Batch, column: str) -> None:
        """Leave out the rows without a value that none can be without."""
        kind = f"no {column}"
        for i in batch.where(pc.is_null(batch.columns[column])):
            counts = column not in _GUESTS
            self._leave_out(batch, i, kind, kind, counts)

    def _refuse_repeated(self, batch: Batch) -> None:
        """Of rows with one id only the first comes in."""
        key = KEY.get(self._table)
        if key is None or not self.findings.repeated:
            return
        for i, value in enumerate(batch.columns[key].cast(pa.string()).to_pylist()):
            if not batch.stays[i] or value not in self.findings.repeated:
                continue
            if value in self._first:
                self._leave_out(batch, i, REPEATED, f"{key} {value!r} is that of line {self._first[value]} too")
            else:
                self._first[value] = int(batch.lines[i])

    def _need_something(self, batch: Batch) -> None:
        """Leave out products without title, description and photo."""
        said = np.zeros(batch.raw.num_rows, dtype=bool)
        for column in ("title", "description"):
            if column in batch.columns:
                said |= batch.columns[column].is_valid().to_numpy(zero_copy_only=False)
        if self.photos is not None:
            said |= self._with_photo(batch)
        for i in np.flatnonzero(~said & batch.stays):
            self._leave_out(batch, int(i), "no title, description or photo", "no title, description or photo", False)

    def _with_photo(self, batch: Batch) -> NDArray[np.bool_]:
        assert self.photos is not None, "asked for only where photos are brought in"
        places = np.flatnonzero(batch.stays)
        chosen = pa.array(places)
        ids = batch.columns["product_id"].take(chosen).to_pylist()
        found = np.zeros(batch.raw.num_rows, dtype=bool)
        found[places] = self.photos(ids, _one(batch.raw[PHOTOS]).take(chosen).to_pylist())
        return found

    def _leave_out(self, batch: Batch, i: int, kind: str, detail: str, counts: bool = True) -> None:
        self.quarantine.faults.append(Fault(int(batch.lines[i]), kind, detail, int(batch.places[i]), counts))
        batch.stays[i] = False


def _one(column: pa.ChunkedArray) -> pa.Array:
    """A column of a batch in one piece."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _by_value(values: pa.Array, read: Callable[[str], str | None]) -> pa.Array:
    """`read` of each text, called once for each distinct one; null stays null."""
    encoded = values.dictionary_encode()
    found = pa.array([read(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return found.take(encoded.indices)


def _tags(value: str | None, separator: str) -> str | None:
    if value is None:
        return None
    stripped = value.strip()
    if stripped.startswith("["):
        try:
            listed = json.loads(stripped)
            found = [str(tag).strip() for tag in listed if tag is not None] if isinstance(listed, list) else None
        except (ValueError, RecursionError):
            found = None
        if found is not None:
            return ", ".join(found)
    return ", ".join(dict.fromkeys(tag.strip() for tag in value.split(separator) if tag.strip()))
