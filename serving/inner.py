"""A service that stands behind a gateway: where both know one secret, it answers its gateway and nobody else.

The gateway has checked keys and rates; what it says of a request is believed because of the secret. Health is for everyone, as
orchestrators ask it.
"""

import hmac
import ipaddress
import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from configs.errors import ConfigError
from serving.errors import ApiError, error_response

TOKEN = "VITRINA_INNER_TOKEN"  # noqa: S105 - a variable's name
"""Variable that holds the secret, for the gateway and the services behind it."""
KEY_ID = "x-vitrina-key"
"""Header by which a gateway says whose key a request came with."""
HEALTH = ("/livez", "/readyz", "/healthz")
_SECRET = r"[!-~]{32,1024}"  # noqa: S105


class NotTheGateway(ApiError):
    """The request does not carry the secret of this service's gateway."""

    status = 401
    code = "unauthorized"


def secret(environment: Mapping[str, str]) -> str | None:
    """The secret, where there is one.

    Raises:
        ConfigError: it is too short, or holds what a header cannot.
    """
    found = environment.get(TOKEN) or None
    if found is not None and not re.fullmatch(_SECRET, found):
        raise ConfigError(f"{TOKEN} must be 32 to 1024 visible ASCII characters, such as what `openssl rand -hex 32` prints")
    return found


def check_address(host: str) -> None:
    """That only this machine, or a private network, reaches an inner service which listens at `host`.

    Raises:
        ConfigError: others do.
    """
    address = ipaddress.ip_address(host)
    if address.is_unspecified or address.is_multicast or address.is_global:
        raise ConfigError(
            f"host {host}: a service behind a gateway ({TOKEN} is set) listens on this machine or on one private address, "
            "such as its pod's"
        )


class GatewayOnly:
    """ASGI middleware: 401 without the secret; with it, the key that the gateway names is the request's."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"] not in HEALTH:
            headers = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                refused = NotTheGateway(
                    "this service answers its gateway alone", headers={"WWW-Authenticate": "Bearer", "Connection": "close"}
                )
                await error_response(refused)(scope, receive, send)
                return
            if (key := headers.get(KEY_ID.encode())) is not None:
                scope.setdefault("state", {})["key"] = key.decode("latin-1")
        await self.app(scope, receive, send)
