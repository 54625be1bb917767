"""What several tabs show: notices, photos, products, bars and prices."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import gradio as gr

from playground.html import NOTHING, Inner, Markup, el, joined
from playground.visitor import line_of
from vitrina_client import VitrinaError

LONGEST_PLACE = 4000
"""Characters of an address; servers refuse those that are much longer. What is beyond is not kept in it."""


def piece(name: str, value: Markup = NOTHING, **options: Any) -> gr.HTML:
    """A part of the page that is ours; what is clicked in it and has `data-do` is told as the event `select`."""
    return gr.HTML(
        value,
        elem_id=f"v-{name}",
        elem_classes=["v-piece"],
        js_on_load="vitrina.piece(element, trigger, watch, 'select')",
        apply_default_css=False,
        **options,
    )


def place(tab: str, **values: str | float | None) -> Markup:
    """Where the page stands now: the address is set to it as soon as it is shown."""
    kept, length = {"tab": tab}, 0
    for name, value in values.items():
        if value not in (None, ""):
            length += len(quote(str(value)))
            if length <= LONGEST_PLACE:
                kept[name] = str(value)
    return el("span", hidden=True, data_place=urlencode(kept))


def notice(error: VitrinaError | str) -> Markup:
    """What went wrong, where the answer would stand."""
    return el("p", error if isinstance(error, str) else line_of(error), class_="v-notice", role="alert")


def hint(text: str) -> Markup:
    """What may be done here."""
    return el("p", text, class_="v-hint")


def waiting(text: str) -> Markup:
    """An answer is on its way."""
    return el("div", el("span", class_="v-spinner", aria_hidden="true"), text, class_="v-waiting", role="status")


def section(title: str, *inner: Inner, note: Inner = None, class_: str = "") -> Markup:
    """A card with a heading."""
    head = el("div", el("h2", title), el("span", note, class_="v-note") if note is not None else None, class_="v-head")
    return el("section", head, *inner, class_=f"v-card {class_}".strip(), aria_label=title)


def photo(product_id: int | str, title: str | None, there: bool) -> Markup:
    """The small photo of a product, which the browser gets from the API."""
    if not there:
        return el("span", "no photo", class_="v-nophoto")
    return el(
        "img",
        src=f"/v1/catalog/products/{quote(str(product_id), safe='')}/image",
        alt=f"Photo of {title or product_id}",
        loading="lazy",
    )


def product(
    product_id: int | str,
    title: str | None,
    *facts: Inner,
    there: bool,
    do: str | None = None,
    said: str = "",
    foot: Inner = None,
) -> Markup:
    """A product as a tile; with `do` a click on it is told, and `said` tells people what it does."""
    inner = (
        el("span", photo(product_id, title, there), class_="v-photo"),
        el("span", title or f"product {product_id}", class_="v-title"),
        el("span", joined(el("span", fact) for fact in facts if fact not in (None, "")), class_="v-facts"),
    )
    if do is None:
        return el("li", el("div", *inner, class_="v-tile"), foot)
    button = el(
        "button",
        *inner,
        type="button",
        class_="v-tile",
        data_do=do,
        data_id=product_id,
        data_key=f"{do} {product_id}",
        title=said,
    )
    return el("li", button, foot)


def grid(tiles: Iterable[Markup], label: str) -> Markup:
    """Tiles side by side."""
    return el("ul", joined(tiles), class_="v-grid", aria_label=label)


def bars(values: Iterable[tuple[str, float]], label: str) -> Markup:
    """Numbers from 0 to 1, each as a bar and as a share."""
    rows = (
        el("div", el("dt", name), el("dd", bar(value), el("span", share(value), class_="v-number"))) for name, value in values
    )
    return el("dl", joined(rows), class_="v-bars", aria_label=label)


def bar(value: float, tone: str = "") -> Markup:
    """A number from 0 to 1 as a length; the number itself stands beside it."""
    filled = el("i", style=f"width:{100 * min(max(value, 0.0), 1.0):.1f}%")
    return el("span", filled, class_=f"v-bar {tone}".strip(), aria_hidden="true")


def share(value: float) -> str:
    """A number from 0 to 1 as people write it."""
    return f"{100 * value:.0f} %" if value >= 0.095 or value == 0 else f"{100 * value:.1f} %"


def money(value: float | None) -> str:
    """A price in the catalogue's currency, which the API does not name."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:,.2f}"


def words(name: str) -> str:
    """A name of the API as people write it."""
    return name.replace("_", " ")


def kind(categories: Mapping[str, str]) -> str | None:
    """The lowest category that is known."""
    return next((categories[level] for level in ("article_type", "sub_category", "master_category") if level in categories), None)


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last
