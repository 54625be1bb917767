"""Dates of several forms, tried in the order that the person gives; all of them UTC."""

import re
from collections.abc import Sequence
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import CatalogueError
from catalog.importing.sql import SPACES

DATE = pa.timestamp("ns", tz="UTC")
ISO, SECONDS, MILLISECONDS = "ISO8601", "unix", "unix_ms"
_ALLOWED = f"{ISO}, {SECONDS}, {MILLISECONDS} or as in strptime"

_ISO_START = r"^[0-9]{4}(-?[0-9]{2}|$)"
_OFFSET = r"(?i)[T ].*(z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_PLAIN_NUMBER = r"^-?[0-9]{1,14}(\.[0-9]{1,9})?$"
_UNITS: dict[str, Literal["s", "ms"]] = {SECONDS: "s", MILLISECONDS: "ms"}


def read_dates(values: pa.Array, forms: Sequence[str]) -> pa.Array:
    """Texts [n] as instants (UTC, ns) [n]; null where none of the forms fits, or the year is outside 1678 – 2261."""
    trimmed = pc.utf8_trim(values, SPACES)
    read = pa.nulls(len(values), DATE)
    for form in forms:
        left = pc.and_(pc.is_null(read), pc.is_valid(trimmed))
        if not pc.any(left).as_py():
            break
        read = pc.coalesce(read, _read(pc.if_else(left, trimmed, pa.scalar(None, pa.string())), form))
    return read


def check_forms(forms: Sequence[str]) -> None:
    """See that each form is one that dates can be read by.

    Raises:
        CatalogueError: it is not.
    """
    for form in forms:
        try:
            _read(pa.array(["2024-01-31"]), form)
        except (ValueError, TypeError, re.error) as error:
            detail = (str(error).splitlines() or [""])[0]
            raise CatalogueError(f"date_format {form!r} is no form of a date ({detail}); allowed: {_ALLOWED}") from error
        if form not in (ISO, *_UNITS) and "%" not in form:
            raise CatalogueError(f"date_format {form!r} names no part of a date; allowed: {_ALLOWED}")


def _read(values: pa.Array, form: str) -> pa.Array:
    if form in _UNITS:
        numbers = _where(values, _PLAIN_NUMBER).cast(pa.float64()).to_pandas()
        return _instants(pd.to_datetime(numbers, unit=_UNITS[form], utc=True, errors="coerce"))
    if form != ISO:
        return _texts(values, form)
    texts = _where(values, _ISO_START)
    offset = _where(texts, _OFFSET)  # apart from those without: pandas gives these the offset of the value before them
    return pc.coalesce(_texts(offset, ISO), _texts(pc.if_else(pc.is_null(offset), texts, pa.scalar(None, pa.string())), ISO))


def _texts(values: pa.Array, form: str) -> pa.Array:
    return _instants(pd.to_datetime(values.to_pandas(), format=form, utc=True, errors="coerce"))


def _where(values: pa.Array, pattern: str) -> pa.Array:
    """Those that match; the others are null."""
    fits = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    return pc.if_else(fits, values, pa.scalar(None, pa.string()))


def _instants(dates: "pd.Series[pd.Timestamp]") -> pa.Array:
    return pa.array(dates.astype("datetime64[ns, UTC]"), type=DATE, from_pandas=True)
