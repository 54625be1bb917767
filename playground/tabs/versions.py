"""Versions of a model as the registry has them, who promoted which, and two of them side by side on the same product."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import gradio as gr

from playground.comparing import COMPARED
from playground.examples import choices, examples, photo_of
from playground.form import Form
from playground.html import NOTHING, Inner, Markup, el, joined
from playground.pieces import hint, notice, piece, place, section, waiting, words
from playground.tabs import QUIET, Opening, Tab, Turns, Update, on_click
from playground.visitor import Service, as_they_come
from vitrina_client import VitrinaError, models

SHOWN, MOVES = 8, 10
EXAMPLES = 6
CHAMPION, CHALLENGER = "champion", "challenger"
ACTIONS = {"promote": "promoted", "rollback": "rolled back to", "moved_in_ui": "moved in MLflow to"}


def build(service: Service) -> Opening:
    """Its components."""
    turns = Turns()
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=4, min_width=320, elem_classes=["v-form"]):
            model = gr.Dropdown(label="Model", choices=[], value=None)
            listed = piece("versions-listed", waiting("Looking …"))
        with gr.Column(scale=6, min_width=320, elem_classes=["v-answer"]):
            chips = piece("versions-examples")
            compared = piece("versions-compared")
    of_product = gr.State(None)
    outputs = [listed, chips, compared, of_product]

    async def about(request: gr.Request, name: str, product_id: str | None) -> AsyncIterator[Update]:
        client = service.of(request)
        yield {listed: joined([place("versions", model=name, product=product_id), waiting("Looking …")]), compared: NOTHING}
        calls = {"versions": client.list_versions(name, limit=SHOWN), "moves": client.list_moves(name, limit=MOVES)}
        found = {one: answer async for one, answer in as_they_come(calls)}
        parts: list[Markup] = [place("versions", model=name, product=product_id)]
        for answer in (found["versions"], found["moves"]):
            if isinstance(answer, VitrinaError):
                parts.append(notice(answer))
            elif isinstance(answer, models.RegisteredVersions):
                parts += [_version(one) for one in answer.versions] or [hint("No version is registered.")]
            elif isinstance(answer, models.Moves):
                parts.append(_moves(answer))
        yield {listed: joined(parts)}

    async def side_by_side(request: gr.Request, name: str, product_id: str | None) -> AsyncIterator[Update]:
        client = service.of(request)
        try:
            state = next((one for one in (await client.list_models()).models if one.name == name), None)
            tried = await examples(client, EXAMPLES)
            if state is None or state.challenger is None:
                why = "Nobody answers as its challenger: it has none, or the service follows none (`challengers`)."
                yield {chips: NOTHING, compared: section("Champion against challenger", hint(why))}
                return
            if name not in COMPARED:
                yield {
                    chips: NOTHING,
                    compared: section(
                        "Champion against challenger", hint("Its answers hang on a task, which one version was taught.")
                    ),
                }
                return
            product_id = product_id or (str(tried[0].product_id) if tried else None)
            if product_id is None:
                yield {compared: hint("The catalogue lists no products to compare on.")}
                return
            known = await client.get_product(product_id)
            form = Form.of_product(known, await photo_of(client, known, service.folder))
        except VitrinaError as error:
            yield {compared: notice(error)}
            return
        stands = place("versions", model=name, product=product_id)
        yield {
            chips: choices(tried, "Compare on one of the catalogue"),
            of_product: product_id,
            compared: joined([stands, waiting("Both answer …")]),
        }
        both = {CHAMPION: client.options(alias="champion"), CHALLENGER: client.options(alias="challenger")}
        asked = {alias: COMPARED[name](asking, form) for alias, asking in both.items()}
        said: dict[str, Markup] = {}
        async for alias, answer in as_they_come(asked):
            said[alias] = notice(answer) if isinstance(answer, VitrinaError) else Markup(str(answer))
            yield {compared: joined([stands, _both(known, state, said)])}

    async def both(request: gr.Request, name: str | None, product_id: str | None) -> AsyncIterator[Update]:
        if name is None:
            yield {listed: hint("No model is served.")}
            return
        async for update in about(request, name, product_id):
            yield update
        async for update in side_by_side(request, name, product_id):
            yield update

    @turns.newest
    async def turned(request: gr.Request, name: str | None, product_id: str | None) -> AsyncGenerator[Update, None]:
        async for update in both(request, name, product_id):
            yield update

    @turns.newest
    async def chosen(request: gr.Request, said: str, name: str) -> AsyncGenerator[Update, None]:
        async for update in side_by_side(request, name, json.loads(said)["id"]):
            yield update

    @turns.newest
    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncGenerator[Update, None]:
        try:
            known = (await service.of(request).list_models()).models
        except VitrinaError as error:
            yield {listed: notice(error)}
            return
        names = [one.name for one in known if one.version is not None or one.challenger is not None]
        contested = [one.name for one in known if one.challenger is not None and one.name in COMPARED]
        name = at.get("model") if at.get("model") in names else next(iter(contested or names), None)
        product_id = at.get("product")
        yield {model: gr.update(choices=names, value=name), of_product: product_id}
        async for update in both(request, name, product_id):
            yield update

    model.input(turned, [model, of_product], outputs, **QUIET)
    on_click([chips], chosen, [model], outputs)
    return Opening(opened, [model, *outputs])


def _version(one: models.RegisteredVersion) -> Markup:
    badges = [el("span", alias, class_=f"v-badge {'good' if alias == CHAMPION else 'plain'}") for alias in sorted(one.aliases)]
    gates = el("span", f"gates {one.gates}", class_=f"v-badge {'good' if one.gates == 'passed' else 'warn'}")
    rows = [
        el(
            "tr",
            el("th", words(metric.name), scope="row"),
            el("td", f"{metric.value:.3f}"),
            el("td", _between(metric), class_="v-note"),
        )
        for metric in one.metrics
    ]
    table = el("table", el("tbody", *rows), class_="v-table") if rows else None
    links = [("MLflow", one.links.version), ("run", one.links.run), *sorted(one.links.reports.items())]
    linked = [el("a", name, href=url) for name, url in links if url is not None and url.startswith(("http://", "https://"))]
    failures = el("p", one.gate_failures, class_="v-notice") if one.gate_failures else None
    return section(
        f"Version {one.version}",
        el("p", joined(joined([badge, " "]) for badge in [*badges, gates])),
        failures,
        el("details", el("summary", "What the reviewer reads"), _markdown(one.headline), table)
        if one.headline or table
        else None,
        el("p", joined(joined([link, " "]) for link in linked), class_="v-links") if linked else None,
        note=_at(one.registered_at),
    )


def _moves(found: models.Moves) -> Markup:
    if not found.moves:
        return section("History", hint("Nobody has promoted a version yet."))
    rows = [
        el(
            "li",
            f"{_at(move.at)}: {move.who} {ACTIONS.get(move.action, move.action)} ",
            el("b", _to(move)),
            f" — {move.note}" if move.note else None,
        )
        for move in found.moves
    ]
    return section("History", el("ul", *rows, class_="v-moves"))


def _to(move: models.Move) -> str:
    to = "nothing" if move.to_version is None else f"version {move.to_version}"
    return to if move.from_version is None else f"{to} in place of {move.from_version}"


def _both(known: models.CatalogueProduct, state: models.ModelState, said: Mapping[str, Markup]) -> Markup:
    columns = [
        el("div", el("h2", alias, f" · version {version}", class_="v-alias"), said.get(alias, waiting("…")))
        for alias, version in ((CHAMPION, state.version), (CHALLENGER, state.challenger))
    ]
    on = ["On ", el("b", known.title or f"product {known.product_id}")]
    if len(said) == len(columns) and len({re.sub(r"version \d+", "", one) for one in said.values()}) == 1:
        on.append(": both answer the same.")
    return joined([el("p", *on, class_="v-note", role="status"), el("div", *columns, class_="v-both")])


def _markdown(text: str) -> Markup:
    """Of a headline, which has paragraphs, lists and bold words."""
    parts: list[Markup] = []
    items: list[Markup] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("- "):
            items.append(el("li", _bold(line[2:])))
            continue
        if items:
            parts.append(el("ul", *items, class_="v-listed"))
            items = []
        if line.strip():
            parts.append(el("p", _bold(line)))
    return joined(parts)


def _bold(line: str) -> Inner:
    found: Sequence[Any] = re.split(r"\*\*(.+?)\*\*", line)
    return joined(el("b", part) if turn % 2 else part for turn, part in enumerate(found))


def _between(metric: models.GateMetric) -> str:
    return "" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"


def _at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


TAB = Tab("versions", "Versions", frozenset(), build)
