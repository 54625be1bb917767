"""What a front tells its workers of a request, and how they know that it is their front: a token that both hold.

A client's own headers of these names are not passed on; without the token a worker answers health alone. A gateway and the
services behind it (`serving.inner`) do the same; Prometheus, which asks these directly, sends the token as a Bearer one.
"""

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.scopes import OPEN
from serving.errors import Unauthorized, error_response

TOKEN = "VITRINA_FRONT_TOKEN"  # noqa: S105 - the name of a variable
"""Variable that holds the token; a server of several workers draws one at each start."""
LISTENS_ON = "127.0.0.1"
"""Where workers behind a front listen."""
PREFIX = "x-vitrina-"
FRONT, KEY, WHO = f"{PREFIX}front", f"{PREFIX}key", f"{PREFIX}who"


def told(scope: Scope, token: str | None) -> dict[str, str]:
    """Headers for a worker: the token, and whose request it is where a key was asked for; none without a token."""
    if token is None:
        return {}
    state = scope.get("state", {})
    named = {FRONT: token, KEY: state.get("key"), WHO: state.get("who")}
    return {name: value for name, value in named.items() if value is not None}


class Behind:
    """ASGI middleware of a worker behind a front: believes what the front says, and nobody else."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in OPEN):
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        else:
            said = {name: value for name, value in scope["headers"] if name.startswith(PREFIX.encode())}
            bearer = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            sent = said.get(FRONT.encode(), bearer.removeprefix(b"Bearer "))
            if not hmac.compare_digest(sent, self._token):
                refused = Unauthorized("this address answers its front alone", headers={"WWW-Authenticate": "Bearer"})
                await error_response(refused)(scope, receive, send)
                return
            state = scope.setdefault("state", {})
            for name, header in (("key", KEY), ("who", WHO)):
                if header.encode() in said:
                    state[name] = said[header.encode()].decode("latin-1")
            await self.app(scope, receive, send)
