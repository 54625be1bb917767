"""Requests, sent until they are answered or cannot be."""

import logging
import os
import uuid
from asyncio import sleep
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
from pydantic import BaseModel

from vitrina_client.errors import REQUEST_ID, ConnectionFailed, VitrinaError, broken, refusal
from vitrina_client.reading import Lines, read
from vitrina_client.retries import Policy, Tries
from vitrina_client.sending import address, encoded

logger = logging.getLogger("vitrina_client")

Answer = TypeVar("Answer", bound=BaseModel)
JSON = "application/json"


@dataclass(frozen=True)
class AsyncConnection:
    """How requests are sent; copies with other values share the connections of `http`.

    Attributes:
        idempotency_key: Of the requests; None gives each its own.
        request_id: Of the requests in the service's log; None gives each its own.
        alias: Of the versions that answer; None leaves that to the service.
        api_key: Of the requests, in place of the one that `http` sends.
    """

    http: httpx.AsyncClient = field(repr=False)
    policy: Policy
    idempotency_key: str | None = None
    request_id: str | None = None
    alias: str | None = None
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def to(
        cls, base_url: str | None, api_key: str | None, policy: Policy, transport: httpx.AsyncBaseTransport | None
    ) -> "AsyncConnection":
        """To a service; what is None comes from the environment.

        Raises:
            ValueError: the address is none.
        """
        key = api_key or os.environ.get("VITRINA_API_KEY")
        headers = {"User-Agent": "vitrina-client", "Accept": JSON} | ({"Authorization": f"Bearer {key}"} if key else {})
        return cls(httpx.AsyncClient(base_url=address(base_url), headers=headers, transport=transport), policy)

    async def ask(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """What the service answers to a request.

        Raises:
            VitrinaError: it refuses, or cannot be asked.
        """
        return read(await self.send(method, path, body, query), answer)

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: int | None = None,
    ) -> httpx.Response:
        """An answer whose status is 2xx or `accepted`, and its body.

        Raises:
            VitrinaError: as `ask`.
        """
        return await self._answered(self._request(method, path, body, query, headers), accepted=accepted)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str | int] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose status is 2xx and whose body is still to come; what breaks it off then is an `httpx.TransportError`.

        Raises:
            VitrinaError: as `ask`.
        """
        response = await self._answered(self._request("GET", path, None, query, headers), whole=False)
        try:
            yield response
        finally:
            await response.aclose()

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        query: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        said = {REQUEST_ID: self.request_id or uuid.uuid4().hex}
        if self.api_key is not None:
            said["Authorization"] = f"Bearer {self.api_key}"
        if method == "POST":
            said["Idempotency-Key"] = self.idempotency_key or str(uuid.uuid4())
        if self.alias is not None:
            said["Vitrina-Alias"] = self.alias
        if body is not None:
            said["Content-Type"] = JSON
        content = None if body is None else encoded(body)
        return self.http.build_request(method, path, content=content, params=query, headers=said | dict(headers or {}))

    async def _answered(self, request: httpx.Request, whole: bool = True, accepted: int | None = None) -> httpx.Response:
        tries, done_perhaps = Tries(self.policy), False
        while True:
            request.extensions["timeout"] = httpx.Timeout(tries.begin()).as_dict()
            try:
                response = await self.http.send(request, stream=True)
                if whole or not response.is_success:
                    await response.aread()
            except httpx.RequestError as error:
                failure: VitrinaError = broken(error)
            else:
                deleted = request.method == "DELETE" and done_perhaps and response.status_code == 404
                if response.is_success or response.status_code == accepted or deleted:
                    return response
                failure = refusal(response)
            done_perhaps = done_perhaps or isinstance(failure, ConnectionFailed)
            pause = tries.pause(failure)
            logger.info("%s %s: %s; again in %.2f s", request.method, request.url.path, failure, pause)
            await sleep(pause)


async def lines(response: httpx.Response) -> AsyncIterator[str]:
    """Lines of an answer whose body is still to come."""
    found = Lines()
    async for piece in response.aiter_bytes():
        for line in found.feed(piece):
            yield line
    for line in found.end():
        yield line
