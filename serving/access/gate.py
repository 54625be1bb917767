"""The gate before every route but health: who asks, whether they may, and how often.

Keys are asked for once one exists, also where all of them have ended; and always of requests that reach the server at another
address than loopback, or where it is told to listen beyond it.
"""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.schema import AccessConfig
from database.keys import TOKEN, Key
from monitoring import metrics
from serving.access.keyring import Keyring, holder
from serving.access.rates import Rates, Standing
from serving.access.scopes import scopes_of
from serving.errors import ApiError, Forbidden, TooMany, Unauthorized, error_response

CHALLENGES = ('Bearer realm="vitrina"', 'Basic realm="vitrina", charset="UTF-8"')
"""A header each: browsers look for Basic, and ask for the key as its password."""
ANYONE = "anyone"
_PLACES = "send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as the password of Basic"


class Gate:
    """ASGI middleware.

    Args:
        host: Address that the server listens on.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, config: AccessConfig, host: str) -> None:
        self.app = app
        self._keyring, self._config = keyring, config
        self._rates = Rates()
        self._local = is_local(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif needed := scopes_of(scope["path"]):
            await self._admit(needed, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _admit(self, needed: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else ANYONE
        state = scope.setdefault("state", {})
        try:
            key = await self._key(scope, address)
            if key is None:
                state["who"] = address
                standing = self._rates.of_address(address, self._config.requests_a_minute)
            else:
                state["key"], state["who"] = key.id, key.name
                standing = self._rates.of_key(key.id, key.requests_a_minute or self._config.requests_a_minute)
            if not standing.allowed:
                raise _too_many(standing, f"of this key {key.name}" if key else "of this address")
            if key is not None and not {*needed, "admin"} & set(key.scopes):
                raise Forbidden(f"the key {key.name} does not open this; it needs the scope {' or '.join(needed)}")
        except ApiError as error:
            metrics.request_refused(error.code)
            response = error_response(error)
            if isinstance(error, Unauthorized):
                for challenge in CHALLENGES:
                    response.headers.append("WWW-Authenticate", challenge)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, _telling(send, standing))

    async def _key(self, scope: Scope, address: str) -> Key | None:
        """Whose request it is; None where no key is asked for."""
        known = await self._keyring.keys()
        if TOKEN.search(f"{scope['path']}?{scope['query_string'].decode('latin-1')}"):
            raise self._refused(address, Unauthorized(f"a key stands in the address, where logs keep it: revoke it; {_PLACES}"))
        if not known and self._local and is_local((scope.get("server") or ("",))[0]):
            return None
        try:
            sent = credential(scope["headers"])
            if sent is None:
                make = "" if known else "; no key was made yet: `vitrina keys create` makes one"
                raise Unauthorized(f"this needs a key; {_PLACES}{make}")
            return holder(known, sent, self._keyring.now())
        except Unauthorized as error:
            raise self._refused(address, error) from error

    def _refused(self, address: str, error: Unauthorized) -> ApiError:
        """`error`, or that this address has had too many of them."""
        standing = self._rates.of_address(address, self._config.refusals_a_minute, "refusal")
        return error if standing.allowed else _too_many(standing, "without a valid key")


def credential(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The key that a request holds; None where it holds none.

    Raises:
        Unauthorized: the header is of another kind, or two differ.
    """
    found = set[str]()
    for name, value in headers:
        if name == b"x-api-key":
            found.add(value.decode("latin-1").strip())
        elif name == b"authorization":
            found.add(_authorization(value))
    if len(found) > 1:
        raise Unauthorized("two keys that differ were sent")
    return found.pop() if found else None


def _authorization(value: bytes) -> str:
    kind, _, rest = value.decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthorized("Authorization: Basic is not base64 of NAME:KEY") from error
    raise Unauthorized(f"Authorization is not read; {_PLACES}")


@lru_cache(maxsize=1024)
def is_local(host: str | None) -> bool:
    """Whether an address is one of this machine alone; what is no address, such as a socket file, is."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return True


def _too_many(standing: Standing, which: str) -> TooMany:
    error = TooMany("rate_limited", f"more than {standing.limit} requests a minute {which}; try again", standing.reset)
    error.headers |= {name.decode(): value.decode() for name, value in standing.headers()}
    return error


def _telling(send: Send, standing: Standing) -> Send:
    """`send` that adds the RateLimit fields to the answer."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *standing.headers()]}
        await send(message)

    return told
