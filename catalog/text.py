"""Listing text as a model reads it: no markup, one spelling of every character, single spaces."""

import html
import re
import unicodedata

_TAG = re.compile(
    r"""<!--                                                        # a comment; its end is searched for
      | <(?P<name>/?[a-zA-Z][a-zA-Z0-9:-]*+)(?:"[^"<]*+"|'[^'<]*+'|[^<>])*+>  # a tag with its attributes
      | <[!?][^<>]*+>                                               # a declaration
      | </?[a-zA-Z]{0,10}\Z                                         # a tag that was cut off""",
    re.VERBOSE,
)
_INLINE = frozenset(
    {"a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "label", "mark", "q", "s"}
) | frozenset({"samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr"})
_HIDDEN = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "template")}
_LONG_REFERENCE = re.compile(r"&#[0-9]{8,}+;?")
_SECOND = r"\x80-\xbf" + bytes(range(0x80, 0xA0)).decode("cp1252", errors="ignore")  # what a byte after the first reads as
_MISREAD = re.compile(rf"Ã[{_SECOND}]|Â[\xa0-\xbf]|[âï][{_SECOND}]{{2}}|(?:[ÄÅÎÏÐÑ×ØÙ][{_SECOND}]){{2}}|\ufffd")
_MAX_ROUNDS = 6
_MARKUP = str.maketrans("&<", "  ")


def clean_html(text: str) -> str:
    """Plain text of an HTML fragment.

    Tags, scripts and styles go, block tags separate words, entities are decoded also when they were escaped again,
    characters are NFKC, control and zero-width characters go, white space becomes single spaces. Idempotent.
    """
    return _to_fixpoint(text, fold=False)


def normalise(text: str) -> str:
    """`clean_html`, case-folded: texts that differ in case or white space alone become equal. Idempotent."""
    return _to_fixpoint(text, fold=True)


def looks_misread(text: str) -> bool:
    """Whether UTF-8 was decoded as Windows-1252 or Latin-1 ("CafÃ©"), or what could not be decoded was replaced."""
    return not text.isascii() and _MISREAD.search(text) is not None


def _to_fixpoint(text: str, fold: bool) -> str:
    if text.isascii() and text.isprintable() and "&" not in text and "<" not in text:  # nothing below would change it
        return " ".join((text.casefold() if fold else text).split())
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
    text = html.unescape(_LONG_REFERENCE.sub(" ", _strip_tags(text)))
    text = unicodedata.normalize("NFKC", text)
    if fold:
        text = unicodedata.normalize("NFKC", text.casefold())
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(text.split())


def _strip_tags(text: str) -> str:
    """The text between tags, in linear time on any input (html.parser takes minutes on 150 kB of unclosed tags)."""
    parts: list[str] = []
    end = 0
    while tag := _TAG.search(text, end):
        parts.append(text[end : tag.start()])
        name = (tag["name"] or "").lower()
        if name.lstrip("/") not in _INLINE:
            parts.append(" ")
        end = tag.end()
        if tag[0] == "<!--":
            close = text.find("-->", end)
            end = close + 3 if close >= 0 else len(text)
        elif name in _HIDDEN:
            closing = _HIDDEN[name].search(text, end)
            end = closing.start() if closing else len(text)
    return "".join([*parts, text[end:]])
