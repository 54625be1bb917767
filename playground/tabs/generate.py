"""Images for a prompt, one after another until all are there or the visitor stops; and texts that state given facts alone."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr

from playground.examples import choices, examples
from playground.form import Form, WrongForm
from playground.html import NOTHING, Markup, el, joined
from playground.pieces import bars, hint, listed, notice, piece, place, section, share, waiting
from playground.tabs import QUIET, Opening, Tab, Update, on_click
from playground.texts import texts
from playground.visitor import Service
from vitrina_client import VitrinaError, models

STYLES = ("photorealistic", "artistic", "vintage", "luxury")
TONES = ("neutral", "friendly", "premium", "playful")
CANDIDATES, MOST_CANDIDATES = 4, 8
MAX_SEED = 2**31
EXAMPLES = 6
READ = ("brand", "article_type", "gender", "base_colour", "usage")
"""Fields of a product that a prompt or a text is made of, beside its title and attributes."""


def build(service: Service) -> Opening:
    """Its components."""
    chips = piece("generate-examples")
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=1, min_width=320, elem_classes=["v-form"], visible=False) as images:
            prompt = gr.Textbox("", label="Draw", placeholder="Women red dress", max_length=500)
            style = gr.Radio(STYLES, value=STYLES[0], label="Style")
            with gr.Row():
                candidates = gr.Slider(
                    1, MOST_CANDIDATES, value=CANDIDATES, step=1, label="Candidates", buttons=[], min_width=160
                )
                seed = gr.Number(label="Seed", value=1, minimum=0, maximum=MAX_SEED, precision=0, min_width=100)
            with gr.Row():
                draw = gr.Button("Draw", variant="primary")
                stop = gr.Button("Stop", interactive=False)
            drawn = piece("generate-images", hint("Candidates come one by one, the best first."))
        with gr.Column(scale=1, min_width=320, elem_classes=["v-form"], visible=False) as descriptions:
            title = gr.Textbox("", label="Describe", placeholder="Title of the product", max_length=500)
            with gr.Row():
                brand = gr.Textbox("", label="Brand", min_width=120, max_length=200)
                article_type = gr.Textbox("", label="Type", min_width=120, max_length=200)
            details = gr.Textbox(
                "", label="Facts, one a line", lines=4, max_lines=8, placeholder="base_colour: Red", max_length=10_000
            )
            with gr.Row():
                tone = gr.Dropdown(TONES, value=TONES[0], label="Tone", min_width=110)
                audience = gr.Textbox("", label="Audience", placeholder="runners", min_width=110, max_length=200)
                keywords = gr.Textbox("", label="Keywords", placeholder="cotton, summer", min_width=110, max_length=500)
            write = gr.Button("Write", variant="primary")
            written = piece("generate-text")
    brief = [title, brand, article_type, details, tone, audience, keywords]
    wish = [prompt, style, candidates, seed]
    running: WeakValueDictionary[str | None, asyncio.Event] = WeakValueDictionary()

    async def drawing(request: gr.Request, said: str, how: str, count: float, first: float | None) -> AsyncIterator[Update]:
        client, done, many = service.of(request), list[models.Drawn](), int(count)
        stands = place("generate", prompt=said, style=how, candidates=many, seed=int(first or 0))
        if not said.strip():
            yield {drawn: notice("Say what is to be drawn.")}
            return
        wanted: dict[str, Any] = {"prompt": said.strip(), "style": how}
        over = running[request.session_hash] = asyncio.Event()
        for one in range(many):
            yield {drawn: joined([stands, _progress(one, many), _candidates(done)]), stop: gr.update(interactive=True)}
            try:
                found = await _unless(over, client.generate_image(**wanted, seed=int(first or 0) + one))
            except VitrinaError as error:
                yield {drawn: joined([stands, notice(error), _candidates(done)]), stop: gr.update(interactive=False)}
                return
            if found is None:
                yield {drawn: joined([stands, hint("Stopped."), _candidates(done)]), stop: gr.update(interactive=False)}
                return
            done.append(found)
        yield {drawn: joined([stands, _candidates(done)]), stop: gr.update(interactive=False)}

    def stopping(request: gr.Request) -> None:
        if request.session_hash in running:
            running[request.session_hash].set()

    async def writing(request: gr.Request, *fields: Any) -> AsyncIterator[Update]:
        *listing, how, whom, words = fields
        filled = Form(title=listing[0], brand=listing[1], article_type=listing[2], details=listing[3])
        try:
            asked: dict[str, Any] = dict(filled.listing()) | {"tone": how}
        except WrongForm as error:
            yield {written: notice(str(error))}
            return
        asked |= {"audience": whom.strip()} if whom.strip() else {}
        wanted = [word.strip() for word in words.split(",") if word.strip()]
        asked |= {"keywords": wanted} if wanted else {}
        yield {written: waiting("Writing …")}
        try:
            found = await service.of(request).generate_description(**asked)
        except VitrinaError as error:
            yield {written: notice(error)}
            return
        yield {written: section("Text", texts(found), note=f"{found.model.name}, version {found.model.version}")}

    async def chosen(request: gr.Request, said: str) -> AsyncIterator[Update]:
        try:
            known = await service.of(request).get_product(json.loads(said)["id"])
        except VitrinaError as error:
            yield {drawn: notice(error)}
            return
        yield _filled(known)

    def _filled(known: models.CatalogueProduct) -> Update:
        of = Form.of_product(known, None)
        said = {prompt: of.title}
        return said | {title: of.title, brand: of.brand, article_type: of.article_type, details: of.details}

    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncIterator[Update]:
        client = service.of(request)
        try:
            served = {model.name for model in (await client.list_models()).models if model.version is not None}
        except VitrinaError as error:
            yield {chips: notice(error)}
            return
        yield {images: gr.update(visible="imagegen" in served), descriptions: gr.update(visible="describer" in served)}
        try:
            tried = await examples(client, EXAMPLES)
        except VitrinaError as error:
            yield {chips: notice(error)}
            tried = []
        filled: Update = _filled(tried[0]) if tried else {}
        filled |= {prompt: at["prompt"]} if at.get("prompt") else {}
        filled |= {style: at["style"]} if at.get("style") in STYLES else {}
        for number, said, most in ((candidates, at.get("candidates", ""), MOST_CANDIDATES), (seed, at.get("seed", ""), MAX_SEED)):
            if said.isdecimal() and int(said) <= most:
                filled[number] = int(said)
        yield {chips: choices(tried, "Try one of the catalogue"), **filled}

    gr.on([draw.click, prompt.submit], drawing, wish, [drawn, stop], **QUIET)
    stop.click(stopping, None, None, **QUIET)
    gr.on([write.click, title.submit], writing, brief, [written], **QUIET)
    on_click([chips], chosen, [], [drawn, prompt, title, brand, article_type, details])
    return Opening(opened, [chips, images, descriptions, *wish, *brief])


async def _unless(over: asyncio.Event, drawing: Coroutine[Any, Any, models.Drawn]) -> models.Drawn | None:
    """What is drawn; None where it was over before, when nothing is drawn any more."""
    drawn, stopped = asyncio.ensure_future(drawing), asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait({drawn, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return drawn.result() if drawn.done() else None
    finally:
        for task in (drawn, stopped):
            task.cancel()
        await asyncio.gather(drawn, stopped, return_exceptions=True)


def _progress(done: int, many: int) -> Markup:
    said = f"Drawing {done + 1} of {many} …"
    filled = el("i", style=f"width:{100 * (done + 0.5) / many:.0f}%")
    meter = el(
        "div",
        filled,
        class_="v-bar",
        role="progressbar",
        aria_valuenow=done,
        aria_valuemin=0,
        aria_valuemax=many,
        aria_label=said,
    )
    return el("div", el("span", said, role="status"), meter, class_="v-progress")


def _candidates(drawn: Sequence[models.Drawn]) -> Markup:
    """The best first."""
    ranked = sorted(drawn, key=lambda one: -one.images[0].score.overall)
    if not ranked:
        return NOTHING
    tiles = el(
        "ul",
        *(_candidate(one, place_now == 0) for place_now, one in enumerate(ranked)),
        class_="v-grid v-drawn",
        aria_label="Candidates",
    )
    unknown = ranked[0].unknown_words
    said = hint(f"The version never saw {listed(unknown)}, and cannot know what that looks like.") if unknown else NOTHING
    return joined([tiles, said])


def _candidate(drawn: models.Drawn, best: bool) -> Markup:
    image, score = drawn.images[0], drawn.images[0].score
    source = f"data:image/png;base64,{base64.b64encode(image.png).decode()}"
    shows = f"taken for {score.shows.article_type}, {share(score.shows.probability)}" if score.shows is not None else None
    copy = (
        el("span", f"may be a copy of the photo of product {score.nearest.product_id}", class_="v-badge warn")
        if score.nearest.memorised
        else None
    )
    head = el(
        "p",
        el("b", f"{100 * score.overall:.0f}"),
        " of 100",
        el("span", "best", class_="v-badge good") if best else None,
        class_="v-overall",
    )
    parts = [
        ("as said", score.agreement),
        ("sharp", score.sharpness),
        ("exposed", score.exposure),
        ("border", score.white_background),
    ]
    alt = f"Drawn image, seed {image.seed}"
    return el(
        "li",
        el("span", el("img", src=source, alt=alt), class_="v-photo"),
        head,
        bars(parts, f"scores of seed {image.seed}"),
        el("p", f"seed {image.seed}", f" · {shows}" if shows else None, class_="v-note"),
        copy,
    )


TAB = Tab("generate", "Generate", frozenset({"imagegen", "describer"}), build)
