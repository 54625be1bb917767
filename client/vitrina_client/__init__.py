"""The client of a Vitrina service: `Client`, and `AsyncClient` for asyncio."""

from vitrina_client.aio.client import AsyncClient
from vitrina_client.aio.jobs import AsyncJob
from vitrina_client.batches import Done, Failure
from vitrina_client.errors import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    ItemFailed,
    JobFailed,
    NotFound,
    NotSupported,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unfinished,
    Unprocessable,
    VitrinaError,
)
from vitrina_client.sending import Photo
from vitrina_client.sync.client import Client
from vitrina_client.sync.jobs import Job

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Done",
    "Failure",
    "Forbidden",
    "InvalidRequest",
    "ItemFailed",
    "Job",
    "JobFailed",
    "NotFound",
    "NotSupported",
    "Photo",
    "RateLimited",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unfinished",
    "Unprocessable",
    "VitrinaError",
]
