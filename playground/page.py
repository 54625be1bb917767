"""The page: its tabs, of which those are shown whose models are served, and its place in an application."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio import routes

from playground.html import Markup, el, joined
from playground.pieces import notice, piece
from playground.tabs import FIRST, QUIET, Opening, Tab, Update, discover
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
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, bounds.keep_seconds)) as made:
        head, address = piece("head", _head(None)), gr.Textbox("", elem_classes=["v-hidden"])
        places: dict[str, gr.Tab] = {}
        filled: dict[str, Filled] = {}
        with gr.Tabs(elem_classes=["v-tabs"]) as row:
            for tab in tabs:
                with gr.Tab(tab.title, id=tab.name) as places[tab.name]:
                    filled[tab.name] = Filled(gr.State(False), tab.build(service))
        for name, place in places.items():
            script = f"(before, _) => [before, vitrina.turn('{name}')]"
            place.select(filled[name].show, [filled[name].before, address], filled[name].outputs, js=script, **QUIET)
        outputs = [head, row, *places.values(), *filled[FIRST].outputs]
        made.load(_arriving(service, tabs, head, row, places, filled[FIRST]), None, outputs, **QUIET)
    made.queue(default_concurrency_limit=bounds.at_once, max_size=bounds.waiting)
    blocks: gr.Blocks = made
    return blocks


class Filled:
    """A tab, which is filled when a visitor first comes to it.

    Args:
        before: Whether this visitor came to it before; then it stays as it is.
    """

    def __init__(self, before: gr.State, opening: Opening) -> None:
        self.before = before
        self.opening = opening
        self.outputs = [before, *opening.outputs]

    async def show(self, request: gr.Request, before: bool, address: str) -> AsyncIterator[Update]:
        """Fill it from what the page's address says of it; an empty address is of a tab that nobody came to."""
        if before or not address:
            yield {self.before: before}
            return
        async for update in self.fill(request, dict(parse_qsl(address.removeprefix("?")))):
            yield update

    async def fill(self, request: gr.Request, at: Mapping[str, str]) -> AsyncIterator[Update]:
        """Fill it."""
        yield {self.before: True}
        async for update in self.opening.show(request, at):
            yield update


def _arriving(
    service: Service, tabs: list[Tab], head: gr.HTML, row: gr.Tabs, places: Mapping[str, gr.Tab], first: Filled
) -> Callable[[gr.Request], AsyncIterator[Update]]:
    async def arriving(request: gr.Request) -> AsyncIterator[Update]:
        try:
            known = await service.of(request).list_models()
        except VitrinaError as error:
            yield {head: joined([_head(None), notice(error)])}
            return
        served = {model.name for model in known.models if model.version is not None}
        shown = {tab.name: not tab.needs or bool(tab.needs & served) for tab in tabs}
        wanted = request.query_params.get("tab", FIRST)
        chosen = wanted if shown.get(wanted) else next((name for name, there in shown.items() if there), FIRST)
        visible = {place: gr.update(visible=shown[name]) for name, place in places.items()}
        yield {head: _head(known), row: gr.update(selected=chosen), **visible}
        if chosen == FIRST:
            said = dict(request.query_params) if wanted == FIRST else {}
            async for update in first.fill(request, said):
                yield update

    return arriving


def _head(known: models.Models | None) -> Markup:
    served = [] if known is None else [model for model in known.models if model.version is not None]
    answering = [el("li", f"{model.name} ", el("b", f"v{model.version}")) for model in served]
    return el(
        "header",
        el("div", el("h1", "Vitrina"), el("p", "Try the models on this shop's catalogue"), class_="v-name"),
        el("nav", el("a", "API", href="/"), aria_label="Elsewhere"),
        el("ul", *answering, aria_label="Models that answer, and their versions", class_="v-served") if answering else None,
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
        "<style>@media (max-width: 640px) { .gradio-container > .main.main { padding: 0 !important; } }</style>"
    )
    text = lines[:start] + ours + lines[end:]
    start, end = text.index('<meta property="og:url"'), text.index("<script>window.gradio_config")
    text = (text[:start] + text[end:]).replace('<link rel="manifest" href="/manifest.json" />', "")
    target = folder / "document" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    loader.searchpath[:] = [str(folder / "document"), loader.searchpath[-1]]
