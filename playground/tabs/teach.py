"""A classifier of a few examples: name classes, give each some titles or photos, try it, and see what is none of these."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from playground.examples import LOOKED_AT, choices, photo_of
from playground.html import Markup, el, joined
from playground.pieces import bars, hint, kind, notice, piece, place, section, share, waiting
from playground.tabs import QUIET, Opening, Tab, Update, on_click
from playground.visitor import Service
from vitrina_client import AsyncClient, VitrinaError, models

CLASSES, FIRST_SHOWN = 6, 3
"""Rows of the form; the API takes more classes than people fill in."""
EXAMPLES, STRANGERS = 3, 3
"""Of a class, in the example that is filled in; and products of other classes, to try."""


def build(service: Service) -> Opening:
    """Its components."""
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=6, min_width=320, elem_classes=["v-form"]):
            name = gr.Textbox("", label="Name of the task", max_length=200)
            rows, labels, titles, adds, shots = [], [], [], [], []
            for one in range(CLASSES):
                with gr.Row(visible=one < FIRST_SHOWN, elem_classes=["v-class"]) as row:
                    with gr.Column(scale=2, min_width=180):
                        labels.append(gr.Textbox("", label=f"Class {one + 1}", max_length=200))
                        shots.append(piece(f"teach-photos-{one}"))
                        add = gr.UploadButton("Add photos", file_count="multiple", file_types=["image"], size="sm")
                        adds.append(add)
                    with gr.Column(scale=3, min_width=220):
                        titles.append(gr.Textbox("", label="Titles, one a line", lines=4, max_lines=8, max_length=10_000))
                rows.append(row)
            with gr.Row():
                more = gr.Button("Add a class")
                teach = gr.Button("Teach", variant="primary")
        with gr.Column(scale=4, min_width=320, elem_classes=["v-answer"]):
            taught = piece("teach-taught", hint("Teach it first; it takes less than a second."))
            chips = piece("teach-examples")
            title = gr.Textbox("", label="Try a title", max_length=500)
            photo = gr.Image(label="or a photo", type="filepath", sources=["upload", "clipboard"], height=160, buttons=[])
            ask = gr.Button("Which is it?", variant="primary")
            found = piece("teach-found")
    task, shown = gr.State(None), gr.State(FIRST_SHOWN)
    paths = [gr.State(()) for _ in range(CLASSES)]
    classes = [*labels, *titles, *paths]

    async def teaching(request: gr.Request, called: str, *fields: Any) -> AsyncIterator[Update]:
        said, lines, photos = (fields[part * CLASSES : (part + 1) * CLASSES] for part in range(3))
        asked: dict[str, Any] = {"name": called.strip()} if called.strip() else {}
        asked["examples"] = [
            example
            for label, text, files in zip(said, lines, photos, strict=True)
            for example in _examples(label.strip(), text, files)
        ]
        yield {taught: waiting("Teaching …"), found: Markup("")}
        try:
            adapted = await service.of(request).adapt_fewshot(**asked)
        except VitrinaError as error:
            yield {taught: notice(error)}
            return
        yield {taught: joined([place("teach", task=adapted.task_id), _taught(adapted)]), task: adapted.task_id}

    async def asking(request: gr.Request, task_id: str | None, text: str, path: str | None) -> AsyncIterator[Update]:
        listing: dict[str, Any] = {"title": text.strip()} if text.strip() else {}
        listing |= {"image": Path(path).read_bytes()} if path else {}
        if task_id is None or not listing:
            yield {found: notice("Teach it first." if task_id is None else "Give a title or a photo to try.")}
            return
        asked: dict[str, Any] = {"task_id": task_id, "items": [listing]}
        yield {found: waiting("Looking …")}
        try:
            answer = await service.of(request).classify_fewshot(**asked)
        except VitrinaError as error:
            yield {found: notice(error)}
            return
        yield {found: _classified(answer.items[0])}

    async def clicked(request: gr.Request, said: str, task_id: str | None) -> AsyncIterator[Update]:
        if task_id is None:
            yield {found: Markup("")}
            return
        try:
            await service.of(request).delete_fewshot_task(task_id)
        except VitrinaError as error:
            yield {taught: notice(error)}
            return
        yield {
            taught: joined([place("teach"), hint("The task is deleted, with all that was kept of it.")]),
            task: None,
            found: Markup(""),
        }

    def another(count: int) -> Update:
        count = min(count + 1, CLASSES)
        return {shown: count, more: gr.update(interactive=count < CLASSES)} | {
            row: gr.update(visible=place_now < count) for place_now, row in enumerate(rows)
        }

    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncIterator[Update]:
        client = service.of(request)
        try:
            if at.get("task"):
                detail = await client.get_fewshot_task(at["task"])
                yield {
                    taught: joined([place("teach", task=detail.task_id), _known(detail)]),
                    task: detail.task_id,
                    name: detail.name or "",
                }
            lesson, tried = await _lesson(client, service.folder)
            strange = next((one for one in tried if kind(one.categories) not in {known.label for known in lesson}), None)
            path = await photo_of(client, strange, service.folder) if strange is not None else None
        except VitrinaError as error:
            yield {taught: notice(error)}
            return
        filled: Update = {task: at.get("task"), chips: choices(tried, "Try one") if tried else Markup("")}
        for place_now, one in enumerate(lesson):
            said = "\n".join(product.title or "" for product in one.products)
            filled |= {labels[place_now]: one.label, titles[place_now]: said, paths[place_now]: one.photos}
            filled[shots[place_now]] = _shots(one.photos)
        if lesson:
            filled |= {name: " or ".join(one.label for one in lesson)}
        if strange is not None:
            filled |= {title: strange.title, photo: path}
        yield filled

    async def chosen(request: gr.Request, said: str, task_id: str | None) -> AsyncIterator[Update]:
        client = service.of(request)
        try:
            known = await client.get_product(json.loads(said)["id"])
            path = await photo_of(client, known, service.folder)
        except VitrinaError as error:
            yield {found: notice(error)}
            return
        yield {title: known.title or "", photo: path}
        async for update in asking(request, task_id, known.title or "", path):
            yield update

    def added(kept: tuple[str, ...], more_of_it: list[str]) -> tuple[tuple[str, ...], Markup]:
        now = (*kept, *more_of_it)
        return now, _shots(now)

    def removed(said: str, kept: tuple[str, ...]) -> tuple[tuple[str, ...], Markup]:
        taken = json.loads(said)["id"]
        now = tuple(path for path in kept if path != taken)
        return now, _shots(now)

    for add, shown_photos, kept in zip(adds, shots, paths, strict=True):
        add.upload(added, [kept, add], [kept, shown_photos], **QUIET)
        on_click([shown_photos], removed, [kept], [kept, shown_photos])
    teach.click(teaching, [name, *classes], [taught, found, task], **QUIET)
    gr.on([ask.click, title.submit], asking, [task, title, photo], [found], **QUIET)
    on_click([taught], clicked, [task], [taught, task, found])
    on_click([chips], chosen, [task], [title, photo, found])
    more.click(another, shown, [shown, more, *rows], **QUIET)
    return Opening(opened, [name, *classes, *shots, taught, task, chips, title, photo])


def _shots(paths: Sequence[str]) -> Markup:
    """Photos of a class; a click takes one away."""
    said = "Take this photo away"
    tiles = (
        el(
            "li",
            el(
                "button",
                el("img", src=f"gradio_api/file={quote(path)}", alt=f"Photo {place_now} of the class"),
                type="button",
                title=said,
                data_do="remove",
                data_id=path,
            ),
        )
        for place_now, path in enumerate(paths, 1)
    )
    return el("ul", *tiles, class_="v-shots", aria_label="Photos of the class; a click takes one away")


def _examples(label: str, titles: str, photos: Sequence[str]) -> list[dict[str, Any]]:
    """A title and a photo of the same place are one example."""
    lines = [line.strip() for line in titles.splitlines() if line.strip()]
    found = []
    for place_now in range(max(len(lines), len(photos))):
        one: dict[str, Any] = {"label": label}
        one |= {"title": lines[place_now]} if place_now < len(lines) else {}
        one |= {"image": Path(photos[place_now]).read_bytes()} if place_now < len(photos) else {}
        found.append(one)
    return found


@dataclass(frozen=True)
class Taught:
    """A class of the example: a type of the catalogue."""

    label: str
    products: list[models.CatalogueProduct]
    photos: tuple[str, ...]


async def _lesson(client: AsyncClient, folder: str) -> tuple[list[Taught], list[models.CatalogueProduct]]:
    """Classes of types that are unlike each other, and products to try: one of each that it was not taught by, and strangers."""
    of_types: dict[str, list[models.CatalogueProduct]] = {}
    for one in (await client.list_products(limit=LOOKED_AT)).items:
        if one.title and (article_type := kind(one.categories)) is not None:
            of_types.setdefault(article_type, []).append(one)
    often = sorted(of_types, key=lambda name: -len(of_types[name]))
    apart = {of_types[name][0].categories.get("master_category", name): name for name in reversed(often)}
    ordered = [name for name in often if name in apart.values()] + [name for name in often if name not in apart.values()]
    lesson, tries = list[Taught](), list[models.CatalogueProduct]()
    for label in ordered[:FIRST_SHOWN]:
        products, unseen = of_types[label][:EXAMPLES], of_types[label][EXAMPLES : EXAMPLES + 1]
        files = [file for one in products if (file := await photo_of(client, one, folder)) is not None]
        lesson.append(Taught(label, products, tuple(files) if len(files) == len(products) else ()))
        tries += unseen
    return lesson, tries + [of_types[name][0] for name in ordered[FIRST_SHOWN : FIRST_SHOWN + STRANGERS]]


def _taught(adapted: models.Adapted) -> Markup:
    right = adapted.leave_one_out
    told = (
        f"Of {right.examples} examples, {share(right.accuracy or 0)} are told right by what has not seen them."
        if right.accuracy is not None
        else "With two examples a class it could say how often it is right."
    )
    rejects = el("p", _sentence(adapted.rejects), class_="v-note")
    hardest = el("p", _sentence(adapted.hardest.hint))
    return section(
        "Taught", _classes(adapted.classes), el("p", told), hardest, rejects, FORGET, note=f"learner {adapted.learner}"
    )


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def _known(detail: models.TaskDetail) -> Markup:
    newest = detail.versions[0]
    note = "it must be taught again" if newest.outdated else f"version {newest.version}"
    return section(detail.name or "A task", _classes(newest.classes), FORGET, note=note)


def _classes(classes: Sequence[models.TaughtClass]) -> Markup:
    return el(
        "ul",
        *(el("li", f"{one.label} ", el("b", one.examples)) for one in classes),
        class_="v-served",
        aria_label="Classes, and how many examples each has",
    )


FORGET = el("button", "Forget this task", type="button", class_="v-button small", data_do="forget", data_key="forget")


def _classified(item: models.ClassifiedItem) -> Markup:
    verdict = el(
        "p",
        el(
            "span",
            "none of these" if item.none_of_these else item.label,
            class_=f"v-badge {'warn' if item.none_of_these else 'good'}",
        ),
        class_="v-said",
        role="status",
    )
    chances = bars([(one.label, one.probability) for one in item.probabilities], "if it is one of them")
    stranger = bars([("none of these", item.stranger)], "how sure it is that it is none of these")
    return section("It is", verdict, el("h3", "If it is one of them"), chances, el("h3", "That it is none of them"), stranger)


TAB = Tab("teach", "Teach", frozenset({"fewshot"}), build)
