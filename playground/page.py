"""The page: its tabs, of which those are shown whose models are served, and its place in an application."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import routes

from playground.html import Markup, el, joined
from playground.pieces import notice, piece
from playground.tabs import FIRST, QUIET, Tab, Update, discover
from playground.theme import theme
from playground.visitor import Service
from vitrina_client import VitrinaError, models

HERE = Path(__file__).parent
TITLE = "Vitrina playground"
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='7' "
    "fill='%232f5fb3'/%3E%3Cpath d='M8 9l8 15 8-15' fill='none' stroke='white' stroke-width='4' stroke-linecap='round' "
    "stroke-linejoin='round'/%3E%3C/svg%3E"
)
SWEEP_SECONDS = 60


@dataclass(frozen=True)
class Bounds:
    """What visitors may take.

    Attributes:
        file_bytes: Of a photo.
        at_once: Questions of one kind that are answered at the same time.
        waiting: Questions that wait; beyond it one is refused.
        keep_seconds: How long a photo lies on the disk.
    """

    file_bytes: int
    at_once: int
    waiting: int
    keep_seconds: int


def mount(app: Any, path: str, address: str, folder: Path, bounds: Bounds) -> None:
    """Show the page of the service at `address` under `path` of a FastAPI application; files lie in `folder`."""
    _own_document(folder)
    blocks = page(Service(address, str(folder)), bounds)
    gr.mount_gradio_app(
        app,
        blocks,
        path=path,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=bounds.file_bytes,
        theme=theme(),
        css_paths=HERE / "page.css",
        head=f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
    )


def page(service: Service, bounds: Bounds) -> gr.Blocks:
    """The page."""
    tabs = discover()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, bounds.keep_seconds)) as blocks:
        head = piece("head", _head(None))
        places: dict[str, gr.Tab] = {}
        with gr.Tabs(elem_classes=["v-tabs"]) as row:
            for tab in tabs:
                with gr.Tab(tab.title, id=tab.name) as places[tab.name]:
                    _fill(service, tab, places[tab.name], blocks if tab.name == FIRST else None)
        blocks.load(_arriving(service, tabs, head, row, places), None, [head, row, *places.values()], **QUIET)
    blocks.queue(default_concurrency_limit=bounds.at_once, max_size=bounds.waiting)
    return blocks


def _fill(service: Service, tab: Tab, where: gr.Tab, blocks: gr.Blocks | None) -> None:
    """The tab's components, filled when a visitor first comes to it: by a click, or with the page where that is given."""
    opened = gr.State(False)
    opening = tab.build(service)

    async def show(request: gr.Request, before: bool) -> AsyncIterator[Update]:
        yield {opened: True}
        if not before:
            async for update in opening.show(request, _place(request, tab.name)):
                yield update

    async def arrive(request: gr.Request, before: bool) -> AsyncIterator[Update]:
        if request.query_params.get("tab", FIRST) != tab.name:
            yield {opened: before}
            return
        async for update in show(request, before):
            yield update

    outputs = [opened, *opening.outputs]
    where.select(show, opened, outputs, **QUIET)
    where.select(None, js=f"() => vitrina.turn('{tab.name}')", api_visibility="private")
    if blocks is not None:
        blocks.load(arrive, opened, outputs, **QUIET)


def _place(request: gr.Request, tab: str) -> Mapping[str, str]:
    """What the address says, where it says it of this tab."""
    said = dict(request.query_params)
    return said if said.get("tab", FIRST) == tab else {}


def _arriving(
    service: Service, tabs: list[Tab], head: gr.HTML, row: gr.Tabs, places: Mapping[str, gr.Tab]
) -> Callable[[gr.Request], Any]:
    async def arriving(request: gr.Request) -> Update:
        try:
            known = await service.of(request).list_models()
        except VitrinaError as error:
            return {head: joined([_head(None), notice(error)])}
        served = {model.name for model in known.models if model.version is not None}
        shown = {tab.name: not tab.needs or bool(tab.needs & served) for tab in tabs}
        wanted = request.query_params.get("tab", FIRST)
        chosen = wanted if shown.get(wanted) else next((name for name, there in shown.items() if there), wanted)
        visible = {place: gr.update(visible=shown[name]) for name, place in places.items()}
        return {head: _head(known), row: gr.update(selected=chosen), **visible}

    return arriving


def _head(known: models.Models | None) -> Markup:
    served = [] if known is None else [model for model in known.models if model.version is not None]
    answering = [el("li", f"{model.name} ", el("b", f"v{model.version}")) for model in served]
    return el(
        "header",
        el("div", el("h1", "Vitrina"), el("p", "What the models make of a listing, on this shop's catalogue"), class_="v-name"),
        el("ul", *answering, aria_label="Models that answer, and their versions", class_="v-served") if answering else None,
        el("nav", el("a", "API", href="/"), aria_label="Elsewhere"),
        class_="v-top",
    )


def _own_document(folder: Path) -> None:
    """Gradio's document without what leads elsewhere: pictures of its project, and an application to install."""
    name = "frontend/index.html"
    loader: Any = routes.templates.env.loader
    lines = Path(loader.searchpath[-1], name).read_text(encoding="utf-8")
    start, end = lines.index('<meta property="og:title"'), lines.index("<style>")
    ours = (
        f'<meta name="description" content="What the models make of a listing"><link rel="icon" href="{ICON}">'
        '<meta name="color-scheme" content="light dark">'
    )
    text = lines[:start] + ours + lines[end:]
    start, end = text.index('<meta property="og:url"'), text.index("<script>window.gradio_config")
    text = (text[:start] + text[end:]).replace('<link rel="manifest" href="/manifest.json" />', "")
    target = folder / "document" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    loader.searchpath[:] = [str(folder / "document"), loader.searchpath[-1]]
