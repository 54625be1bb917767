"""Whatever bytes a file has, reading it ends in a source or in one line."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readings import read_text
from spreadsheets import number, text, write_xlsx

from catalog.errors import CatalogueError

FILES: dict[str, bytes] = {
    "a.csv": b'sku,name,text\n1,Cap,"Soft, and\nwarm"\n2,Mug,"Holds ""tea"""\n3,Sock,Warm\n',
    "b.tsv": b'sku\tname\r\n1\t"Retro mug\r\n2\tBlue" mug\r\n',
    "c.csv": b"sep=;\n\nsku;name;;\n1;Caf\xc3\xa9;;\n2;Caf\xe9;;\n",
    "d.csv": "sku,name\r1,Größe\r2,Mug\r".encode("utf-16"),
    "e.csv.gz": gzip.compress(b"sku,name\n1,Cap\n"),
    "f.jsonl": b'{"id": 1, "p": {"a": [1, 2], "b": [{"x": 1.50}]}}\n{"id": "2"}\n',
    "g.json": b'{"n": 1, "items": [{"id": 1},\n {"id": 2, "t": ["a", "b"]}]}',
    "h.json": b'[{"id": 1},\n{"id": 2, "x": "\\u00e9"}]',
    "i.xml": b'<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><item a="1"><g:id>1</g:id></item><item/></rss>',
}
PIECES = [
    b'"', b",", b"\n", b"\r", b"\0", b";", b"\t", b"\xff", b"\xfe", b"<", b">", b"&x;", b"{", b"[", b"]", b"}", b"\\", b"\xe9",
    b"\xef\xb7\x90", b"PK\x03\x04", b"\x1f\x8b", b"sep=;", b"\xed\xa0\x80", b'"\n"', b"1e999", b"\x1f", b"<!DOCTYPE x [",
]  # fmt: skip
_CHANGE = st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from([b"", *PIECES]))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    rows = {1: [text("A", "sku"), text("B", "name")], 2: [number("A", "1"), text("B", "Cap")]}
    return write_xlsx(tmp_path_factory.mktemp("book") / "j.xlsx", {"S": rows}).read_bytes()


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([*FILES, "j.xlsx"]), changes=st.lists(_CHANGE, min_size=1, max_size=5))
def test_mutated_bytes_end_in_a_source_or_in_one_line(
    tmp_path: Path, book: bytes, name: str, changes: list[tuple[float, int, bytes]]
) -> None:
    content = FILES.get(name, book)
    for share, gone, piece in changes:
        at = int(share * len(content))
        content = content[:at] + piece + content[at + gone :]
    try:
        found = read_text(tmp_path, content, name)
    except CatalogueError as error:
        assert "\n" not in str(error)
        assert name in str(error)
    else:
        assert found.columns
        assert found.lines == sorted(found.lines)
        assert all(misfit.line > 0 and "\n" not in misfit.reason for misfit in found.misfits)
