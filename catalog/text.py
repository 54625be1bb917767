"""Listing text as a model reads it: no markup, one spelling of every character, single spaces."""

import html
import re
import unicodedata
from html.parser import HTMLParser

_INLINE = frozenset(
    {"a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "label", "mark", "q", "s"}
) | frozenset({"samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr"})
_HIDDEN = frozenset({"script", "style", "template"})
_MAX_ROUNDS = 6
_TAG_START = re.compile(r"<[a-zA-Z/!?]")
_MARKUP = str.maketrans("&<", "  ")


class _TextOf(HTMLParser):
    """Collects what a browser would show; every tag that is not inline separates words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        self._separate(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)

    def _separate(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")


def clean_html(text: str) -> str:
    """Plain text of an HTML fragment.

    Tags, scripts and styles go, block tags separate words, entities are decoded also when they were escaped again,
    characters are NFKC, control and zero-width characters go, white space becomes single spaces. Idempotent.
    """
    return _to_fixpoint(text, fold=False)


def normalise(text: str) -> str:
    """`clean_html`, case-folded: texts that differ in case or white space alone become equal. Idempotent."""
    return _to_fixpoint(text, fold=True)


def _to_fixpoint(text: str, fold: bool) -> str:
    for _ in range(_MAX_ROUNDS):
        cleaned = _clean_once(text, fold)
        if cleaned == text or not _may_change(cleaned):
            return cleaned
        text = cleaned
    return _clean_once(text.translate(_MARKUP), fold)  # escaped more often than any shop does: markup characters go


def _may_change(cleaned: str) -> bool:
    """Whether a second round could find something: ASCII without markup characters is final."""
    return not cleaned.isascii() or "&" in cleaned or "<" in cleaned


def _clean_once(text: str, fold: bool) -> str:
    text = html.unescape(_strip_tags(text))
    text = unicodedata.normalize("NFKC", text)
    if fold:
        text = unicodedata.normalize("NFKC", text.casefold())
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(text.split())


def _strip_tags(text: str) -> str:
    if not _TAG_START.search(text):
        return text
    parser = _TextOf()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)
