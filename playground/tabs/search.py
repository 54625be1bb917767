"""Search by words, by a photo or by both, within filters; a product that was found leads to those like it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from playground.examples import examples
from playground.form import WrongForm, number
from playground.html import Markup, el, joined
from playground.pieces import grid, hint, kind, money, notice, piece, place, product, waiting
from playground.tabs import QUIET, Opening, Tab, Turns, Update, on_click
from playground.visitor import Service
from vitrina_client import VitrinaError, models

FOUND = 24
EXAMPLES = 6
CHOICES = 100
"""Products whose brands and types are offered as filters; others can be written."""


def build(service: Service) -> Opening:
    """Its components."""
    turns = Turns()
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=3, min_width=300, elem_classes=["v-form"]):
            text = gr.Textbox("", label="Words", placeholder="blue jeans for men", max_length=500)
            photo = gr.Image(label="Photo", type="filepath", sources=["upload", "clipboard"], height=160, buttons=[])
            with gr.Accordion("Filters", open=False):
                brands = gr.Dropdown(label="Brand", choices=[], multiselect=True, allow_custom_value=True)
                types = gr.Dropdown(label="Type", choices=[], multiselect=True, allow_custom_value=True)
                with gr.Row():
                    low = gr.Textbox("", label="Price from", min_width=110, max_length=40)
                    high = gr.Textbox("", label="Price to", min_width=110, max_length=40)
            ask = gr.Button("Search", variant="primary")
        with gr.Column(scale=7, min_width=320, elem_classes=["v-answer"]):
            chips = piece("search-examples")
            found = piece("search-found", hint("Say what you look for, or show a photo of it."))
    form = [text, photo, brands, types, low, high]
    like = gr.State(None)

    async def answer(request: gr.Request, product_id: str | None, *fields: Any) -> AsyncIterator[Update]:
        words, path, of_brands, of_types, cheapest, dearest = fields
        sought: dict[str, Any] = {"limit": FOUND}
        if product_id is not None:
            sought["product_id"] = product_id
        else:
            sought |= {"text": words.strip()} if words and words.strip() else {}
            sought |= {"image": Path(path).read_bytes()} if path else {}
        if len(sought) == 1:
            yield {found: hint("Say what you look for, or show a photo of it.")}
            return
        try:
            least, most = number("Price from", cheapest), number("Price to", dearest)
        except WrongForm as error:
            yield {found: notice(str(error))}
            return
        filters = {"brands": of_brands, "categories": of_types, "price_min": least, "price_max": most}
        chosen = {"brands": "|".join(of_brands), "types": "|".join(of_types), "low": cheapest, "high": dearest}
        stands = place("search", text=words, like=product_id, **chosen)
        yield {found: joined([stands, waiting("Looking …")])}
        client = service.of(request)
        try:
            sought["filters"] = {name: value for name, value in filters.items() if value not in (None, [])}
            answered = await client.search_similar(**sought)
            of = (await client.get_product(product_id)).title or product_id if product_id is not None else None
        except VitrinaError as error:
            yield {found: joined([stands, notice(error)])}
            return
        yield {found: joined([stands, _found(answered, of)])}

    @turns.newest
    async def asked(request: gr.Request, *fields: Any) -> AsyncGenerator[Update, None]:
        yield {like: None}
        async for update in answer(request, None, *fields):
            yield update

    @turns.newest
    async def clicked(request: gr.Request, said: str, *fields: Any) -> AsyncGenerator[Update, None]:
        click = json.loads(said)
        product_id = click["id"] if click["do"] == "like" else None
        yield {like: product_id}
        async for update in answer(request, product_id, *fields):
            yield update

    @turns.newest
    async def exemplified(request: gr.Request, said: str, *fields: Any) -> AsyncGenerator[Update, None]:
        tried = json.loads(said)["words"]
        yield {text: tried, photo: None, like: None}
        async for update in answer(request, None, tried, None, *fields[2:]):
            yield update

    @turns.newest
    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncGenerator[Update, None]:
        client = service.of(request)
        words, product_id = at.get("text", ""), at.get("like")
        of_brands, of_types = ([one for one in at.get(name, "").split("|") if one] for name in ("brands", "types"))
        least, most = at.get("low", ""), at.get("high", "")
        try:
            known = (await client.list_products(limit=CHOICES)).items
            tried = await examples(client, EXAMPLES)
        except VitrinaError as error:
            yield {chips: notice(error)}
            known = tried = []
        if not words and product_id is None and tried:
            words = tried[0].title or ""
        yield {
            chips: _tries(tried),
            text: words,
            brands: gr.update(choices=sorted({one.brand for one in known if one.brand} | {*of_brands}), value=of_brands),
            types: gr.update(choices=sorted({kind(one.categories) or "" for one in known} - {""} | {*of_types}), value=of_types),
            like: product_id,
            # A box of a folded accordion gets its value just after that opens: an empty one would wipe what was written by then.
            **({low: least} if least else {}),
            **({high: most} if most else {}),
        }
        async for update in answer(request, product_id, words, None, of_brands, of_types, least, most):
            yield update

    gr.on([ask.click, text.submit, photo.upload], asked, form, [like, found], **QUIET)
    on_click([found], clicked, form, [like, found])
    on_click([chips], exemplified, form, [text, photo, like, found])
    return Opening(opened, [chips, found, text, brands, types, low, high, like])


def _found(answer: models.SimilarProducts, like: str | None) -> Markup:
    said = f"{len(answer.items)} of {answer.products:,} products, the most alike first"
    head: list[Markup] = []
    if like is not None:
        back = el("button", "Back to the search", type="button", class_="v-button", data_do="back")
        head.append(el("div", el("h2", "Like ", el("em", like)), back, class_="v-head"))
    if not answer.items:
        return joined([*head, hint("Nothing fits these filters.")])
    tiles = [
        product(
            one.product_id,
            one.title,
            one.brand,
            money(one.price),
            f"{one.score:.2f} alike",
            there=one.has_photo,
            do="like",
            said="More like this",
        )
        for one in answer.items
    ]
    return joined([*head, el("p", said, class_="v-note", role="status"), grid(tiles, "Products that were found")])


def _tries(tried: list[models.CatalogueProduct]) -> Markup:
    buttons = [
        el(
            "button",
            one.title,
            type="button",
            class_="v-chip",
            data_do="try",
            data_words=one.title,
            data_key=f"try {one.product_id}",
        )
        for one in tried
    ]
    return el("p", el("span", "Try", class_="v-note"), *buttons, class_="v-chips") if buttons else Markup("")


TAB = Tab("search", "Search", frozenset({"product"}), build)
