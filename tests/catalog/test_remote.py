"""Catalogues in an S3-compatible store: what is brought, when it is brought again, and what stops it."""

import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from s3fs import S3FileSystem
from services import s3_server

from catalog import remote
from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.remote import folder_of, open_catalogue

SHOP = "s3://shop/2026/catalogue"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3"), "shop") as address:
        yield address


@pytest.fixture(autouse=True)
def keys(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


@pytest.fixture
def files(keys: None) -> S3FileSystem:
    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


@pytest.fixture
def put(files: S3FileSystem) -> Callable[..., None]:
    """Writes tables of so many rows below `SHOP`."""
    if files.exists(SHOP):
        files.rm(SHOP, recursive=True)

    def write(**rows: int) -> None:
        for table, count in rows.items():
            with files.open(f"{SHOP}/{table}.parquet", "wb") as file:
                key = "review_id" if table == "reviews" else "product_id"
                pd.DataFrame({key: range(count), "review": "fine", "title": "Watch"}).to_parquet(file)

    return write


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are brought while a test runs."""
    names, get_file = list[str](), S3FileSystem.get_file

    def get(self: S3FileSystem, path: str, *others: Any) -> None:
        names.append(Path(path).name)
        get_file(self, path, *others)

    monkeypatch.setattr(S3FileSystem, "get_file", get)
    return names


def left(cache: Path) -> list[str]:
    """What lies in the cache, but locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock") if cache.exists() else []


def refused(address: str, cache: Path) -> str:
    with pytest.raises(CatalogueError) as raised:
        folder_of(address, cache)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_known_tables_are_brought_and_nothing_else(
    put: Callable[..., None], files: S3FileSystem, tmp_path: Path, brought: list[str]
) -> None:
    put(products=3, reviews=2)
    files.pipe(f"{SHOP}/notes.txt", b"ours")
    files.pipe(f"{SHOP}/photos/products.parquet", b"another one's")
    folder = folder_of(SHOP, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["products.parquet", "reviews.parquet"]
    assert folder.name.startswith("shop-2026-catalogue-")
    assert [len(Catalogue.open(folder).read(table)) for table in ("products", "reviews")] == [3, 2]
    assert brought == ["products.parquet", "reviews.parquet"]


@pytest.mark.slow
def test_what_was_brought_is_brought_again_only_when_it_has_changed(
    put: Callable[..., None], tmp_path: Path, brought: list[str]
) -> None:
    put(products=3)
    first = folder_of(SHOP, tmp_path)
    assert folder_of(f"{SHOP}/", tmp_path) == first
    assert brought == ["products.parquet"]
    put(products=4)
    second = folder_of(SHOP, tmp_path)
    assert second != first
    assert [len(Catalogue.open(folder).products()) for folder in (first, second)] == [3, 4]
    put(products=3)
    assert folder_of(SHOP, tmp_path) == first
    assert len(brought) == 2


def test_folders_and_addresses_are_one_catalogue(put: Callable[..., None], tmp_path: Path) -> None:
    put(products=3)
    here = tmp_path / "here"
    here.mkdir()
    pd.DataFrame({"review_id": [1], "review": ["fine"]}).to_parquet(here / "reviews.parquet")
    catalogue = open_catalogue([here, SHOP], tmp_path / "cache")
    assert catalogue.tables() == ["products", "reviews"]
    assert catalogue.path("reviews") == here / "reviews.parquet"


@pytest.mark.slow
def test_of_processes_that_come_at_once_one_brings_and_the_others_wait(
    put: Callable[..., None], tmp_path: Path, brought: list[str]
) -> None:
    put(products=3, reviews=2)
    with ThreadPoolExecutor(6) as threads:
        folders = set(threads.map(lambda _: folder_of(SHOP, tmp_path), range(6)))
    assert len(folders) == 1
    assert sorted(brought) == ["products.parquet", "reviews.parquet"]


@pytest.mark.slow
def test_tables_that_change_meanwhile_are_refused_and_nothing_is_left(
    put: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(products=3, reviews=2)
    get_file = S3FileSystem.get_file

    def get(self: S3FileSystem, path: str, *others: Any) -> None:
        get_file(self, path, *others)
        put(products=5)

    with monkeypatch.context() as patch:
        patch.setattr(S3FileSystem, "get_file", get)
        assert refused(SHOP, tmp_path) == f"{SHOP} changed while it was read; begin again when its tables are complete"
    assert left(tmp_path) == []
    assert len(Catalogue.open(folder_of(SHOP, tmp_path)).products()) == 5


@pytest.mark.slow
def test_a_transfer_that_fails_leaves_nothing_and_what_a_kill_left_is_removed(
    put: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(products=3)
    folder = folder_of(SHOP, tmp_path)
    shutil.rmtree(folder)
    (tmp_path / f".{folder.name}.part").mkdir()
    (tmp_path / f".{folder.name}.part" / "reviews.parquet").touch()
    with monkeypatch.context() as patch:
        patch.setattr(S3FileSystem, "get_file", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device", "/x")))
        assert refused(SHOP, tmp_path) == "cannot write /x: No space left on device"
    assert left(tmp_path) == []
    assert [path.name for path in folder_of(SHOP, tmp_path).iterdir()] == ["products.parquet"]


def test_room_is_asked_for_before_anything_is_brought(
    put: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: list[str]
) -> None:
    put(products=3)
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert refused(SHOP, tmp_path).endswith(f"MB, and {tmp_path} has room for 0 MB")
    assert brought == []


@pytest.mark.parametrize("address", ["s3://", "s3://Shop/x", "s3:///x", "s3://shop_1", "s3://s"])
def test_an_address_that_is_none_is_refused(address: str, tmp_path: Path) -> None:
    assert refused(address, tmp_path) == f"{address} is not the address of a catalogue; allowed: s3://bucket/prefix"


@pytest.mark.slow
def test_what_is_not_there_is_named(put: Callable[..., None], store: str, tmp_path: Path) -> None:
    put(products=3)
    assert refused("s3://shop/2025", tmp_path).startswith("s3://shop/2025 holds no catalogue table; known: products.parquet, ")
    assert refused("s3://shop/2026", tmp_path).startswith("s3://shop/2026 holds no catalogue table; known: ")
    missing = refused("s3://mall/2026", tmp_path)
    assert missing == f"s3://mall/2026: the store {store} says: The specified bucket does not exist"
    assert left(tmp_path) == []


@pytest.mark.parametrize("lacking", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_without_keys_it_is_said_which_variables_hold_them(lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lacking)
    if lacking == "AWS_ACCESS_KEY_ID":
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert refused(SHOP, tmp_path) == f"{SHOP}: no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def test_keys_that_may_not_read_are_told(
    put: Callable[..., None], store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(products=3)
    monkeypatch.setattr(S3FileSystem, "ls", lambda *_, **__: (_ for _ in ()).throw(PermissionError("Access Denied")))
    assert refused(SHOP, tmp_path) == f"{SHOP}: the store {store} says: Access Denied"


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_told_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert refused(SHOP, tmp_path) == f"{SHOP}: the store {address} does not answer (timed out); see AWS_ENDPOINT_URL"
    assert "Connection refused" in refused(SHOP, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    assert refused(SHOP, tmp_path).startswith(f"{SHOP}: the store minio:9000 does not answer (")
