"""Each test of the database runs on SQLite and, where there is one, on PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from ports import free_port


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """`postgresql://user@host:port`: the one named by VITRINA_TEST_POSTGRES, else a throwaway cluster."""
    if named := os.environ.get("VITRINA_TEST_POSTGRES"):
        yield named.rstrip("/")
        return
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no VITRINA_TEST_POSTGRES and no PostgreSQL on this machine")
    user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="vitrina-pg-"))
    if os.geteuid() == 0:  # initdb refuses root
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()

    def run(*command: str) -> None:
        subprocess.run([*user, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    data, options = str(folder / "data"), f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "vitrina", "-E", "UTF8", "--no-sync")
        run(str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql://vitrina@127.0.0.1:{port}"
        run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


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
