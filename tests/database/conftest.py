"""Each test of the database runs on SQLite and, where there is one, on PostgreSQL."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from services import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """`postgresql://user@host:port`: the one named by VITRINA_TEST_POSTGRES, else a throwaway cluster."""
    if named := os.environ.get("VITRINA_TEST_POSTGRES"):
        yield named.rstrip("/")
        return
    with postgres() as cluster:
        yield cluster.address


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    name = f"vitrina_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'vitrina.db'}"
    return request.getfixturevalue("postgres_url")
