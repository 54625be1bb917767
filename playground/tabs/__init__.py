"""The tabs, a file each; one is found by its file, and is there where the models that it needs are served."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr

from playground.visitor import Service

Update = dict[Any, Any]
"""New values by component; the others stay as they are."""
QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
"""Of every event: the page shows itself what it waits for, and a click during an answer counts once that is there."""
ORDER = ("listing", "search", "recommendations", "generate", "teach", "versions")
"""From left to right; others come after them."""
FIRST = ORDER[0]
"""Is open where the page's address names none."""


def on_click(pieces: Sequence[gr.HTML], handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Let `handler` take what was clicked in pieces of ours: the request, the `data-` values of the button as JSON, and `inputs`.

    A click during an answer counts once that is there; Gradio has forgotten by then what it was, so that the page remembers it.
    """
    said = gr.Textbox("", elem_classes=["v-hidden"])
    script = "(_, ...values) => [JSON.stringify(vitrina.clicked), ...values]"
    gr.on([one.select for one in pieces], handler, [said, *inputs], list(outputs), js=script, **QUIET)


class Turns:
    """Of what a visitor asks of a tab only the newest counts: an older answer that is still on its way is shown no more."""

    def __init__(self) -> None:
        self._newest: WeakValueDictionary[str | None, asyncio.Event] = WeakValueDictionary()

    def newest(self, handler: Callable[..., AsyncGenerator[Update, None]]) -> Callable[..., AsyncIterator[Update]]:
        """`handler`, whose first argument is the request, until something newer is asked; it calls no other of these itself."""

        @wraps(handler)
        async def answering(request: gr.Request, *values: Any) -> AsyncIterator[Update]:
            turn = self._newest[request.session_hash] = asyncio.Event()
            async with aclosing(handler(request, *values)) as updates:
                async for update in updates:
                    if self._newest.get(request.session_hash) is not turn:
                        return
                    yield update

        return answering


@dataclass(frozen=True)
class Opening:
    """What a tab shows when a visitor comes to it.

    Attributes:
        show: From the request, and what the page's address says of this tab, to updates of `outputs`, as they come.
        outputs: Components of the tab.
    """

    show: Callable[[gr.Request, Mapping[str, str]], AsyncIterator[Update]]
    outputs: Sequence[Any]


@dataclass(frozen=True)
class Tab:
    """A tab.

    Attributes:
        name: In the page's address.
        title: On the tab.
        needs: Models of which one must be served; empty: it is always there.
        build: Makes its components, where the tab is open for them.
    """

    name: str
    title: str
    needs: frozenset[str]
    build: Callable[[Service], Opening]


def discover() -> list[Tab]:
    """Every tab, in their order."""
    found = [import_module(f"{__name__}.{module.name}").TAB for module in iter_modules(__path__)]
    return sorted(found, key=lambda tab: (ORDER.index(tab.name) if tab.name in ORDER else len(ORDER), tab.name))
