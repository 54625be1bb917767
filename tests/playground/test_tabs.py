"""The tabs over the whole API in this process, with predictors that answer without a model."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from playground.page import Bounds, page
from playground.tabs import ORDER, Opening, Tab, Turns, discover
from playground.visitor import Service
from tests.client.conftest import ALL, served
from vitrina_client import Client

SCRIPT = '<script>alert("x")</script>'
IMAGE = '"><img src=x onerror=alert(1)>'
TABS = {tab.name: tab for tab in discover()}
NOBODY = gr.Request(headers={})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service, in whose catalogue one product has a title that would be a script."""
    config = ALL.model_copy(update={"challengers": True})
    with served(tmp_path_factory.mktemp("served"), config) as (url, _), Client(url) as client:
        client.put_product(0, title=f"{SCRIPT}{IMAGE}", brand=IMAGE, price=5, article_type="Caps", attributes={"Fit": SCRIPT})
        yield url


class Shown:
    """A tab, and what stands in its components."""

    def __init__(self, tab: Tab, service: Service) -> None:
        with gr.Blocks() as self.blocks:
            self.opening: Opening = tab.build(service)
        self.runner = asyncio.Runner()
        self.values: dict[Any, Any] = {}

    def take(self, updates: Any) -> "Shown":
        """Run what a tab yields to its end."""

        async def all_of_it() -> None:
            async for update in updates:
                self.values |= update

        self.runner.run(all_of_it())
        return self

    def open(self, **at: str) -> "Shown":
        return self.take(self.opening.show(NOBODY, at))

    def handler(self, name: str) -> Callable[..., Any]:
        """Of the tab's events, by the name of its function."""
        found = next(one.fn for one in self.blocks.fns.values() if one.name == name)
        assert found is not None
        return found

    def fields(self, name: str) -> list[Any]:
        """What the components that an event reads hold."""
        inputs = next(one.inputs for one in self.blocks.fns.values() if one.name == name)
        return [self._value(one) for one in inputs]

    def _value(self, component: Any) -> Any:
        value = self.values.get(component, component.value)
        return value["value"] if isinstance(value, dict) and value.get("__type__") == "update" else value

    def piece(self, name: str) -> str:
        """HTML of a piece of ours."""
        component = next(one for one in self.blocks.blocks.values() if one.elem_id == f"v-{name}")
        return str(self.values.get(component, ""))

    def everything(self) -> str:
        return " ".join(str(value) for component, value in self.values.items() if isinstance(component, gr.HTML))

    def click(self, name: str, /, **data: str) -> "Shown":
        return self.take(self.handler(name)(NOBODY, json.dumps(data), *self.fields(name)[1:]))

    def ask(self, name: str) -> "Shown":
        return self.take(self.handler(name)(NOBODY, *self.fields(name)))


@pytest.fixture
def shown(address: str, tmp_path: Path) -> Iterator[Callable[[str], Shown]]:
    made: list[Shown] = []

    def make(name: str) -> Shown:
        made.append(Shown(TABS[name], Service(address, str(tmp_path))))
        return made[-1]

    yield make
    for one in made:
        one.runner.close()


def test_every_file_is_a_tab_in_its_place() -> None:
    assert tuple(TABS) == ORDER
    assert TABS["versions"].needs == frozenset()


@pytest.mark.slow
def test_the_whole_page_is_made(address: str, tmp_path: Path) -> None:
    made = page(Service(address, str(tmp_path)), Bounds(1000, 2, 3, 60))
    private = [one.api_visibility for one in made.fns.values()]
    assert set(private) == {"private"}
    assert made._queue.max_size == 3


def test_a_listing_is_looked_at_as_soon_as_the_tab_opens(shown: Callable[[str], Shown]) -> None:
    tab = shown("listing").open()
    assert "Try one of the catalogue" in tab.piece("listing-examples")
    for name, said in (("quality", "Quality"), ("what", "What it is"), ("price", "Price"), ("text", "Search title")):
        assert said in tab.piece(f"listing-{name}"), name
    assert "data-place=" in tab.piece("listing-quality")


def test_the_address_fills_the_form(shown: Callable[[str], Shown]) -> None:
    tab = shown("listing").open(title="blue denim jacket", price="70", details="gender: Men")
    assert tab.fields("asked")[1:] == [None, "blue denim jacket", "", "", "70", "", "gender: Men"]


def test_an_improvement_is_applied_and_asked_for_again(shown: Callable[[str], Shown]) -> None:
    tab = shown("listing").open(title="jacket")
    tab.click("improved", do="improve", change='{"title": "blue denim jacket", "Fit": "Slim"}', score="0.1")
    assert tab.fields("asked")[2] == "blue denim jacket"
    assert tab.fields("asked")[-1] == "Fit: Slim"
    assert "10 →" in tab.piece("listing-quality")


@pytest.mark.slow
def test_errors_stand_in_their_place_in_the_api_s_words(shown: Callable[[str], Shown]) -> None:
    tab = shown("listing").open(title="refused")
    assert "listing 0 is refused" in tab.piece("listing-what")
    assert 'role="alert"' in tab.piece("listing-what")
    tab.open(details="nonsense", title="a")
    assert "line 1" in tab.piece("listing-quality")
    assert "is not NAME: VALUE" in tab.piece("listing-quality")
    gone = shown("listing").open(product="nowhere")
    assert "nowhere" in gone.piece("listing-examples")


def test_search_finds_filters_and_leads_on(shown: Callable[[str], Shown]) -> None:
    tab = shown("search").open(text="blue denim jeans", brands="Acme")
    assert "blue denim jeans" in tab.piece("search-found")
    assert "red denim jeans" not in tab.piece("search-found")
    tab.click("clicked", do="like", id="1")
    assert "Like <em>blue denim jacket</em>" in tab.piece("search-found")
    assert "like=1" in tab.piece("search-found")
    tab.click("clicked", do="back")
    assert "<em>" not in tab.piece("search-found")


def test_boxes_of_a_folded_accordion_are_left_alone_where_the_address_says_nothing_of_them(shown: Callable[[str], Shown]) -> None:
    """Gradio gives them their value when the accordion opens, over what a visitor may have written by then."""
    bare, told = shown("search").open(text="jeans"), shown("search").open(text="jeans", low="5", high="70")
    assert not {"Price from", "Price to"} & {component.label for component in bare.values}
    assert told.fields("asked")[-2:] == ["5", "70"]


@pytest.mark.slow
def test_events_change_recommendations_and_are_told_of(shown: Callable[[str], Shown]) -> None:
    tab = shown("recommendations").open()
    assert "Bought by many." in tab.piece("recommendations-found")
    tab.click("clicked", do="view", id="7", name="Jeans")
    assert "<b>Jeans</b> was viewed" in tab.piece("recommendations-found")
    assert "Often bought after 7." in tab.piece("recommendations-found")
    assert "viewed: Jeans" in tab.piece("recommendations-past")
    assert "events=view.7" in tab.piece("recommendations-found")
    tab.click("clicked", do="forget")
    assert "Bought by many." in tab.piece("recommendations-found")


def test_candidates_come_one_by_one_with_the_best_first(shown: Callable[[str], Shown]) -> None:
    tab = shown("generate").open(prompt="red shirt", candidates="3", seed="5")
    pieces = []

    async def draw() -> None:
        async for update in tab.handler("drawing")(NOBODY, *tab.fields("drawing")):
            pieces.extend(str(value) for component, value in update.items() if isinstance(component, gr.HTML))

    tab.runner.run(draw())
    assert [piece.count("<li>") for piece in pieces] == [0, 1, 2, 3]
    assert ["Drawing" in piece for piece in pieces] == [True, True, True, False]
    assert pieces[-1].count("best") == 1
    assert [f"seed {seed}" in pieces[-1] for seed in (5, 6, 7, 8)] == [True, True, True, False]


def test_a_drawing_is_stopped_between_two_candidates(shown: Callable[[str], Shown]) -> None:
    tab = shown("generate").open(prompt="red shirt", candidates="8")
    pieces = []

    async def draw() -> None:
        async for update in tab.handler("drawing")(NOBODY, *tab.fields("drawing")):
            pieces.extend(str(value) for component, value in update.items() if isinstance(component, gr.HTML))
            if len(pieces) == 3:
                tab.handler("stopping")(NOBODY)

    tab.runner.run(draw())
    assert "Stopped." in pieces[-1]
    assert [piece.count("<li>") for piece in pieces] == [0, 1, 2, 2]


@pytest.mark.slow
def test_a_task_is_taught_tried_and_forgotten(shown: Callable[[str], Shown]) -> None:
    tab = shown("teach").open()
    tab.ask("teaching")
    assert "Forget this task" in tab.piece("teach-taught"), tab.piece("teach-taught")
    tab.ask("asking")
    assert "That it is none of them" in tab.piece("teach-found")
    [task] = {value for value in tab.values.values() if isinstance(value, str) and len(value) == 36}
    again = shown("teach").open(task=task)
    assert "Forget this task" in again.piece("teach-taught")
    tab.click("clicked", do="forget")
    assert "deleted" in tab.piece("teach-taught")
    assert 'role="alert"' in shown("teach").open(task=task).piece("teach-taught")


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDER)
def test_a_title_is_never_markup(shown: Callable[[str], Shown], name: str) -> None:
    tab = shown(name).open(**{"listing": {"product": "0"}, "search": {"text": "jeans", "like": "0"}}.get(name, {}))
    if name == "recommendations":
        tab.click("clicked", do="view", id="7", name=f"{SCRIPT}{IMAGE}")
    assert "<script" not in tab.everything()
    assert "onerror=alert(1)>" not in tab.everything().replace("&gt;", "")
    if name not in ("versions", "teach"):
        assert "&lt;script&gt;" in tab.everything()


def test_versions_say_what_the_registry_says(shown: Callable[[str], Shown]) -> None:
    tab = shown("versions").open(model="product")
    assert "Looking" not in tab.piece("versions-listed")
    assert "model=product" in tab.piece("versions-listed")
    assert "Nobody answers as its challenger" in tab.piece("versions-compared")


def test_an_older_answer_is_shown_no_more_once_something_newer_is_asked() -> None:
    turns, said = Turns(), list[str]()

    @turns.newest
    async def answer(request: gr.Request, name: str, waits: asyncio.Event) -> AsyncGenerator[dict[str, str], None]:
        yield {"now": f"{name} begins"}
        await waits.wait()
        yield {"now": f"{name} ends"}

    async def show(name: str, waits: asyncio.Event) -> None:
        async for update in answer(NOBODY, name, waits):
            said.append(update["now"])

    async def both() -> None:
        slow, quick = asyncio.Event(), asyncio.Event()
        older = asyncio.ensure_future(show("older", slow))
        await asyncio.sleep(0)
        quick.set()
        await show("newer", quick)
        slow.set()
        await older

    asyncio.run(both())
    assert said == ["older begins", "newer begins", "newer ends"]
