"""The client of a Vitrina service: `Client`, and `AsyncClient` for asyncio."""

from vitrina_client.aio.client import AsyncClient
from vitrina_client.errors import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unprocessable,
    VitrinaError,
)
from vitrina_client.sending import Photo
from vitrina_client.sync.client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "NotSupported",
    "Photo",
    "RateLimited",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unprocessable",
    "VitrinaError",
]
