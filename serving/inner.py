"""A service that stands behind a gateway: where both know one secret, it answers its gateway and nobody else.

The gateway has checked keys and rates; what it says of a request is believed because of the secret (`serving.access.passed`).
Health is for everyone, as orchestrators ask it.
"""

import ipaddress
import re
from collections.abc import Mapping

from configs.errors import ConfigError

TOKEN = "VITRINA_INNER_TOKEN"  # noqa: S105 - a variable's name
"""Variable that holds the secret, for the gateway and the services behind it."""
_SECRET = r"[!-~]{32,1024}"  # noqa: S105


def secret(environment: Mapping[str, str]) -> str | None:
    """The secret, where there is one.

    Raises:
        ConfigError: it is too short, or holds what a header cannot.
    """
    found = environment.get(TOKEN) or None
    if found is not None and not re.fullmatch(_SECRET, found):
        raise ConfigError(f"{TOKEN} must be 32 to 1024 visible ASCII characters, such as what `openssl rand -hex 32` prints")
    return found


def front_of(environment: Mapping[str, str], gateway: bool) -> str | None:
    """The secret by which a service knows what stands before it; a gateway has clients before it, and tells the secret to others.

    Raises:
        ConfigError: see `secret`.
    """
    return None if gateway else secret(environment)


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
