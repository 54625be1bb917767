"""A listing, and everything that the models say of it; what would make it better is applied at a click."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from dataclasses import astuple, replace
from typing import Any

import gradio as gr

from playground import answers
from playground.examples import choices, examples, photo_of
from playground.form import Form, WrongForm
from playground.html import NOTHING, joined
from playground.pieces import (
    hint,
    notice,
    piece,
    place,
    waiting,
)
from playground.tabs import QUIET, Opening, Tab, Turns, Update, on_click
from playground.visitor import Service, as_they_come
from vitrina_client import AsyncClient, VitrinaError, models

EXAMPLES = 6
SIMILAR = 6
LABELS = 3
"""Shown of each level of categories."""


def build(service: Service) -> Opening:
    """Its components."""
    turns = Turns()
    chips = piece("listing-examples", hint("Looking for examples in the catalogue …"))
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=4, min_width=320, elem_classes=["v-form"]):
            photo = gr.Image(label="Photo", type="filepath", sources=["upload", "clipboard"], height=220, buttons=[])
            title = gr.Textbox("", label="Title", placeholder="What the listing is called", max_length=500)
            description = gr.Textbox("", label="Description", lines=3, max_lines=8, max_length=20_000)
            with gr.Row():
                brand = gr.Textbox("", label="Brand", min_width=120, max_length=200)
                price = gr.Textbox("", label="Price", min_width=120, max_length=40)
            with gr.Accordion("More details", open=False):
                article_type = gr.Textbox("", label="Type", placeholder="Jeans, Watches …", max_length=200)
                told = "gender: Women\nbase_colour: Red\nFabric: Cotton"
                details = gr.Textbox(
                    "", label="Attributes, one a line", lines=4, max_lines=10, placeholder=told, max_length=10_000
                )
            ask = gr.Button("Look at it", variant="primary")
        with gr.Column(scale=6, min_width=320, elem_classes=["v-answer"]):
            quality, what, price_of, text, similar = parts = [
                piece(f"listing-{name}") for name in ("quality", "what", "price", "text", "similar")
            ]
    form = [photo, title, description, brand, price, article_type, details]
    of_product = gr.State(None)

    def filled_in(filled: Form, product_id: str | None) -> Update:
        return {**dict(zip(form, astuple(filled), strict=True)), of_product: product_id}

    async def answer(
        request: gr.Request, filled: Form, product_id: str | None, was: float | None = None
    ) -> AsyncIterator[Update]:
        try:
            asked = filled.listing()
        except WrongForm as error:
            yield dict.fromkeys(parts, NOTHING) | {quality: notice(str(error))}
            return
        client = service.of(request)
        stands = place("listing", **filled.place(), product=product_id)
        yield {quality: joined([stands, waiting("The models look at it …")])} | dict.fromkeys(parts[1:], NOTHING)
        try:
            calls = await _calls(client, asked, product_id)
        except VitrinaError as error:
            yield {quality: joined([stands, notice(error)])}
            return
        async for name, found in as_they_come(calls):
            if isinstance(found, VitrinaError):
                yield {{"quality": quality, "analysis": what, "text": text, "similar": similar}[name]: notice(found)}
            elif isinstance(found, models.Assessment):
                yield {quality: joined([stands, answers.quality(found, was)])}
            elif isinstance(found, models.Analysis):
                yield {what: answers.what(found), price_of: answers.price(found, asked.get("price"))}
            elif isinstance(found, models.Written):
                yield {text: answers.text(found)}
            elif isinstance(found, models.SimilarProducts):
                yield {similar: answers.similar(found)}

    @turns.newest
    async def asked(request: gr.Request, product_id: str | None, *fields: Any) -> AsyncGenerator[Update, None]:
        async for update in answer(request, Form(*fields), product_id):
            yield update

    @turns.newest
    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncGenerator[Update, None]:
        client, filled, product_id = service.of(request), Form.of_place(at), at.get("product")
        try:
            found = await examples(client, EXAMPLES)
            yield {chips: choices(found, "Try one of the catalogue")}
            if product_id is not None:
                known = await client.get_product(product_id)
                filled = replace(filled, photo=await photo_of(client, known, service.folder))
            elif filled == Form() and found:
                product_id = str(found[0].product_id)
                filled = Form.of_product(found[0], await photo_of(client, found[0], service.folder))
        except VitrinaError as error:
            yield {chips: notice(error)}
        if filled != Form():
            yield filled_in(filled, product_id)
            async for update in answer(request, filled, product_id):
                yield update

    @turns.newest
    async def chosen(request: gr.Request, said: str) -> AsyncGenerator[Update, None]:
        client = service.of(request)
        try:
            known = await client.get_product(json.loads(said)["id"])
            filled = Form.of_product(known, await photo_of(client, known, service.folder))
        except VitrinaError as error:
            yield dict.fromkeys(parts, NOTHING) | {quality: notice(error)}
            return
        yield filled_in(filled, str(known.product_id))
        async for update in answer(request, filled, str(known.product_id)):
            yield update

    @turns.newest
    async def improved(request: gr.Request, said: str, product_id: str | None, *fields: Any) -> AsyncGenerator[Update, None]:
        click = json.loads(said)
        try:
            filled = Form(*fields).changed(json.loads(click["change"]))
        except WrongForm as error:
            yield {quality: notice(str(error))}
            return
        yield filled_in(filled, product_id)
        async for update in answer(request, filled, product_id, float(click["score"]) if click["score"] else None):
            yield update

    everything = [of_product, *form, *parts]
    gr.on([ask.click, title.submit, brand.submit, price.submit], asked, [of_product, *form], parts, **QUIET)
    gr.on([photo.upload, photo.clear], lambda: None, None, of_product, **QUIET)
    on_click([chips, similar], chosen, [], everything)
    on_click([quality, text], improved, [of_product, *form], everything)
    return Opening(opened, [chips, *everything])


async def _calls(client: AsyncClient, asked: Mapping[str, Any], product_id: str | None) -> dict[str, Awaitable[object]]:
    """What is asked of the models that are served, by the name of the part."""
    served = {model.name for model in (await client.list_models()).models if model.version is not None}
    calls: dict[str, Awaitable[object]] = {}
    if "product" in served:
        calls["analysis"] = client.analyze(**asked, top_k=LABELS)
        words = " ".join(str(asked[name]) for name in ("brand", "title", "article_type") if name in asked)
        calls["similar"] = client.search_similar(text=words or None, image=asked.get("image"), limit=SIMILAR)
    if served & {"product", "quality"}:
        calls["quality"] = client.assess_quality(**asked, product_id=product_id)
    if "describer" in served:
        calls["text"] = client.generate_description(**asked)
    return calls


TAB = Tab("listing", "Listing", frozenset({"product", "quality"}), build)
