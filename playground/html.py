"""HTML that cannot be broken out of: what is not `Markup` is escaped wherever it is put in."""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "img"})


class Markup(str):
    """HTML that stands as it is."""

    __slots__ = ()


Inner = str | int | float | None
Value = str | int | float | bool | None
NOTHING = Markup("")


def el(tag: str, *inner: Inner, **attributes: Value) -> Markup:
    """An element.

    Args:
        inner: What is in it; None is nothing.
        attributes: `class_` is class, `aria_label` aria-label; True is an attribute without a value, None and False are none.
    """
    said = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None and value is not False)
    if tag in VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{joined(inner)}</{tag}>")


def joined(inner: Iterable[Inner]) -> Markup:
    """Pieces one after another."""
    return Markup("".join(_safe(piece) for piece in inner if piece is not None))


def _safe(piece: str | int | float) -> str:
    return piece if isinstance(piece, Markup) else escape(str(piece))


def _attribute(name: str, value: str | int | float | bool) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
