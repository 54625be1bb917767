"""The API as a visitor may ask it."""

import asyncio
import base64

import gradio as gr
import httpx
import pytest

from playground.visitor import Service, as_they_come, key_of, line_of
from vitrina_client import InvalidRequest, NotFound


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"authorization": "Bearer vk_1"}, "vk_1"),
        ({"authorization": "Basic " + base64.b64encode(b"me:vk_2").decode()}, "vk_2"),
        ({"authorization": "Basic !"}, None),
        ({"authorization": "Digest x"}, None),
        ({"x-api-key": " vk_3 "}, "vk_3"),
    ],
)
def test_the_key_is_the_one_that_the_browser_sent(headers: dict[str, str], key: str | None) -> None:
    assert key_of(headers) == key


def test_each_visitor_asks_with_their_own_key() -> None:
    seen = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"models": []})

    service = Service("http://127.0.0.1:3000", "/tmp")
    object.__setattr__(
        service._client._connection, "http", httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(answer))
    )

    async def ask() -> None:
        for key in ("vk_1", "vk_2"):
            await service.of(gr.Request(headers={"authorization": f"Bearer {key}"})).list_models()
        await service.of(gr.Request(headers={})).list_models()

    asyncio.run(ask())
    assert seen == ["Bearer vk_1", "Bearer vk_2", None]


def test_errors_are_the_api_s_own_line() -> None:
    assert line_of(InvalidRequest("price: must be at least 0", field="price")) == "price: must be at least 0"
    assert line_of(InvalidRequest("must be a photo", field="image")) == "image: must be a photo"
    assert line_of(NotFound("no product '5'")) == "no product '5'"


def test_answers_come_as_they_are_ready_and_refusals_among_them() -> None:
    async def later(seconds: float, value: str) -> str:
        await asyncio.sleep(seconds)
        return value

    async def refused() -> str:
        raise NotFound("gone")

    async def collect() -> list[tuple[str, object]]:
        slow = asyncio.Event()

        async def last() -> str:
            await slow.wait()
            return "last"

        found = []
        async for name, answer in as_they_come({"slow": last(), "refused": refused(), "quick": later(0, "first")}):
            found.append((name, answer))
            if len(found) == 2:
                slow.set()
        return found

    found = asyncio.run(collect())
    assert {name for name, _ in found[:2]} == {"refused", "quick"}
    assert isinstance(dict(found)["refused"], NotFound)
    assert found[2] == ("slow", "last")


def test_leaving_early_ends_what_is_still_asked() -> None:
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def one() -> str:
        await asyncio.sleep(0)
        return "one"

    async def leave() -> None:
        answers = as_they_come({"one": one(), "endless": endless()})
        async for _ in answers:
            break
        await answers.aclose()

    asyncio.run(leave())
    assert ended == [True]
