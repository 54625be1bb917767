"""Which encoding a file's text has, and text that went through a wrong one before it came."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from charset_normalizer import from_bytes

from catalog.errors import CatalogueError
from catalog.importing.sources.alphabets import oddness

LIKELY = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "euc_kr", "cp932", "euc_jp", "gb18030", "big5", "cp866", "cp850",
    "mac_roman", "iso8859_15", "iso8859_2",
)  # fmt: skip
"""Encodings of exports that are not Unicode; the first counts where several fit a text equally well, and its letters."""

UNREADABLE = "\ufdd2"
"""Stands for a byte that the encoding does not have; a noncharacter, which no text holds."""

PIECE = 1 << 20
"""Bytes that are read at a time."""

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))  # say nothing about the encoding
_WESTERN = ("cp1252", "iso8859_15", "iso8859_2")  # looked at in any case: signs such as £ beside a number confuse the detection
_SELDOM_ODD = 0.2  # of a text that is taken for one of them against the detection
_EXAMPLES = 1 << 16  # bytes of lines beyond ASCII that the detection sees: enough for it, and quick
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_THEN = "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122"
_THEN_1251 = "\u0080-\u00bf\u0402-\u045f\u0490\u0491\u2013-\u203a\u20ac\u2116\u2122"
# Characters that the bytes 80 to bf are in cp1252, and in cp1251.
_TWICE = re.compile(  # the set of first characters stands first: what has none of them is passed over quickly
    "[\u00c2\u00c3\u00d0\u00d1\u00e2\u0420\u0421](?:"
    f"(?<=[\u00c2\u00c3\u00d0\u00d1])[{_THEN}](?:[\u00c2\u00c3\u00d0\u00d1][{_THEN}])*"
    f"|(?<=\u00e2)[\u0080\u20ac\u201a\u201e][{_THEN}]"
    f"|(?<=[\u0420\u0421])[{_THEN_1251}](?:[\u0420\u0421][{_THEN_1251}]){{2,}})"
)
_TWICE_FIRST = "\u00c2\u00c3\u00d0\u00d1\u00e2\u0420\u0421"


@dataclass(frozen=True)
class Encoding:
    """How bytes become text.

    Attributes:
        name: As Python's codecs know it.
        found: Whether it was found and not said; then a byte it does not have becomes `UNREADABLE`.
    """

    name: str
    found: bool


def encoding_of(file: IO[bytes], said: str | None) -> Encoding:
    """The encoding of the bytes from here on: as said, of the byte order mark, UTF-8 where most lines are, or else detected.

    Raises:
        CatalogueError: the encoding that was said is not known, or none fits.
    """
    if said is not None:
        return Encoding(_known(said), found=False)
    first = file.read(PIECE)
    for mark, name in _BOMS:
        if first.startswith(mark):
            return Encoding(name, found=True)
    if first[:4096].count(0) > len(first[:4096]) // 4:
        return Encoding("utf-16-le" if first[1:4096:2].count(0) > first[0:4096:2].count(0) else "utf-16-be", found=True)
    examples = _not_ascii(first, file)
    readable = sum(map(_is_utf8, examples))
    if readable * 2 >= len(examples):
        return Encoding("utf-8", found=True)
    return Encoding(_detected(b"\n".join(examples)), found=True)


def decoded(file: IO[bytes], encoding: Encoding) -> Iterator[str]:
    """The text from here on, in pieces, without a byte order mark.

    Raises:
        CatalogueError: a byte is not in the encoding that was said; the message ends in line and byte.
    """
    name = "utf-8-sig" if encoding.name == "utf-8" else encoding.name
    decoder = codecs.getincrementaldecoder(name)(_ERRORS if encoding.found else "strict")
    lines = 1
    piece = b""
    try:
        while piece := file.read(PIECE):
            text = decoder.decode(piece)
            lines += text.count("\n")
            yield text
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line = lines + bytes(error.object[: error.start]).decode(name, "ignore").count("\n")
        byte = f"byte 0x{error.object[error.start]:02x}"
        raise CatalogueError(
            f"line {line}: {byte} is not {encoding.name}; set encoding in the mapping, or leave it out to have it found"
        ) from error


def misdecoded(text: str) -> str | None:
    """The first part of `text` that is UTF-8 which was read as Windows-1252 or -1251 ("Ã©" for "é"), if there is one."""
    if not any(first in text for first in _TWICE_FIRST):  # many times faster than the pattern, and true of most text
        return None
    for match in _TWICE.finditer(text):
        if repaired(match[0]) is not None:
            return match[0]
    return None


def repaired(part: str) -> str | None:
    """What `part` was before it was read in the wrong encoding; None where it was not."""
    for name in ("cp1252", "latin-1", "cp1251"):
        try:
            text = part.encode(name).decode("utf-8")
        except UnicodeError:
            continue
        if len(text) < len(part):
            return text
    return None


def _known(name: str) -> str:
    try:
        known = codecs.lookup(name)
        known.incrementaldecoder(), "".encode(known.name)
    except (LookupError, TypeError, ValueError) as error:
        raise CatalogueError(f"encoding {name!r} is not known; utf-8, cp1252, iso-8859-1, shift_jis and utf-16 are") from error
    return known.name


def _not_ascii(first: bytes, file: IO[bytes]) -> list[bytes]:
    """Lines with bytes beyond ASCII, up to `_EXAMPLES` bytes of them, and further on those alone that are no UTF-8."""
    examples: list[bytes] = []
    size, piece = 0, first
    while piece and size < _EXAMPLES:
        if not piece.isascii():
            for line in piece.splitlines()[1 if piece is not first else 0 : None if len(piece) < PIECE else -1]:
                if not line.isascii() and size < _EXAMPLES:
                    examples.append(line[:4096])
                    size += len(line)
        piece = file.read(PIECE)
    return examples


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and len(line) == 4096
    return True


def _detected(sample: bytes) -> str:
    matches = from_bytes(sample.translate(None, _CONTROLS), cp_isolation=list(LIKELY))
    chaos = {name: match.chaos for match in matches for name in match.could_be_from_charset}
    chaos |= {name: 1.0 for name in _WESTERN if name not in chaos and _odd(sample, name) <= _SELDOM_ODD}
    if known := [name for name in LIKELY if name in chaos]:
        return min(known, key=lambda name: (round(_odd(sample, name), 1), chaos[name]))
    raise CatalogueError("is in no encoding that is known here; it may be no text, or say encoding in the mapping")


def _odd(sample: bytes, name: str) -> float:
    try:
        return oddness(sample.decode(name))
    except UnicodeDecodeError as error:
        return oddness(sample.decode(name, "replace")) if error.end == len(sample) else 1.0


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return UNREADABLE, error.end


_ERRORS = "vitrina-unreadable"
codecs.register_error(_ERRORS, _mark)
