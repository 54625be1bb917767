"""A proposed mapping: what it says, why, and how it is written down."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from catalog.importing.guessing.profile import Column
from catalog.importing.mapping import ImportMapping, ReadingMapping

_ORDER = (
    "format", "separator", "quote", "encoding", "header", "skip", "sheet", "records", "table", "columns", "ids", "split",
    "where", "values", "decimal", "thousands", "currency", "date_format", "attributes", "attribute_pairs", "attribute_text",
    "tags", "variants", "images",
)  # fmt: skip
_READING = tuple(ReadingMapping.model_fields)


@dataclass
class Proposal:
    """What is put together for a file.

    Attributes:
        says: Parts of the mapping, as in `ImportMapping`.
        why: A remark by dotted part, such as columns.title.
        remarks: Further lines for the person, by the part that they stand before.
        used: Columns of the file that the mapping reads.
        kind: What the file looks like.
    """

    says: dict[str, Any] = field(default_factory=lambda: {"table": "products", "columns": {}})
    why: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    kind: str = ""

    def map(self, ours: str, column: Column, why: str) -> None:
        """One of our columns is one of the file's."""
        self.says["columns"][ours] = column.name
        self.why[f"columns.{ours}"] = f"{why}; {described(column)}"
        self.used.add(column.name)

    def say(self, part: str, value: Any, *columns: str, why: str = "") -> None:
        """A part of the mapping, and the file's columns that it reads."""
        self.says[part] = value
        self.used.update(columns)
        if why:
            self.why[part] = why

    def remark(self, part: str, line: str) -> None:
        """A line before a part; it stands there whether or not the part does."""
        self.remarks.setdefault(part, []).append(line)

    def mapping(self) -> ImportMapping:
        """The mapping that it says."""
        return ImportMapping.model_validate(self.says)


def described(column: Column) -> str:
    """How full a column is, and two of its values."""
    full = f"{column.filled:.0%} full" if column.filled < 1 else "full"
    different = "all different" if column.unique else f"{column.distinct:,} different"
    return f"{full}, {different}" + (f": {column.examples()}" if column.values else "")


def condition(name: str) -> str:
    """A column's name as `where` wants it."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{name}"'


def written(proposal: Proposal, title: str, notes: Sequence[str], columns: Sequence[Column]) -> str:
    """The mapping as YAML with comments."""
    lines = [_remark(f"Proposed for {title}. Read it, change what is wrong, then import with it.")]
    lines += [_remark(f"It looks like {proposal.kind}.")] if proposal.kind else []
    lines += [_remark(f"Found: {note}") for note in notes] + [""]
    for part in _ORDER:
        lines += [_remark(line) for line in proposal.remarks.get(part, [])]
        if part in proposal.says:
            lines += _part(part, proposal.says[part], proposal)
    left = [column for column in columns if column.name not in proposal.used]
    if left:
        lines += ["", "# Left out:", *(_remark(f"  {_scalar(column.name)}: {described(column)}") for column in left)]
    text = "\n".join(lines) + "\n"
    assert yaml.safe_load(text) == proposal.says
    return text


def said(reading: ReadingMapping) -> dict[str, Any]:
    """What was said about reading, beyond the defaults."""
    return {name: value for name, value in reading.model_dump(exclude_defaults=True).items() if name in _READING}


def _part(part: str, value: Any, proposal: Proposal) -> list[str]:
    if isinstance(value, dict):
        if not value:
            return [f"{part}: {{}}"]
        lines = [f"{part}:" + _reason(proposal.why.get(part))]
        inner = [(f"  {_scalar(key)}: {_scalar(item)}", proposal.why.get(f"{part}.{key}")) for key, item in value.items()]
        width = min(max((len(line) for line, why in inner if why), default=0), 50)
        return lines + [line.ljust(width) + _reason(why) if why else line for line, why in inner]
    return [f"{part}: {_scalar(value)}" + _reason(proposal.why.get(part))]


def _reason(why: str | None) -> str:
    return f"  {_remark(why)}" if why else ""


def _scalar(value: Any) -> str:
    """A value on one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _remark(line: str) -> str:
    """A comment, without characters that YAML does not allow."""
    return "# " + "".join(character if character.isprintable() else " " for character in line)
