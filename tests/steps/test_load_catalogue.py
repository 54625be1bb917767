"""Events persist and feed the next training: the delivery holds them, and its fingerprint follows them."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from s3fs import S3FileSystem
from services import s3_server

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from configs.settings import Settings
from database.events import EventRow, insert_events
from models import family
from steps.load_catalogue import load_catalogue
from steps.results import Delivery

TABLE = {"user_id": [1, 2], "item_id": [5, 6]}


class Reads:
    """A family that reads events."""

    tables = ("purchases",)
    events = True


class ReadsNone(Reads):
    events = False


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINA_DATABASE_URL", raising=False)
    monkeypatch.setattr(family, "get", lambda _: Reads)
    (tmp_path / "home").mkdir()
    return Settings.from_environment()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    pd.DataFrame(TABLE).to_parquet(folder / "purchases.parquet")
    return folder


def happen(settings: Settings, *items: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        EventRow(user_id="1", item_id=item, kind="view", occurred_at=start + timedelta(seconds=number))
        for number, item in enumerate(items)
    ]
    insert_events(settings.database_url, rows[::-1])


def load(*folders: Path | str) -> Delivery:
    return load_catalogue.entrypoint("recommender", [str(folder) for folder in folders])


def test_events_are_a_folder_of_the_delivery(settings: Settings, data: Path) -> None:
    happen(settings, "5", "new", "6")
    delivery = load(data)
    assert delivery.paths[0] == str(data)
    (kept,) = (settings.home / "events").iterdir()
    assert delivery.paths[1:] == (str(kept),)
    events = delivery.open().events()
    assert events["item_id"].tolist() == ["5", "new", "6"]
    assert events["kind"].tolist() == ["view"] * 3
    assert events["timestamp"].iloc[2] == pd.Timestamp("2026-01-01 00:00:02", tz="UTC")
    assert delivery.fingerprint == delivery.open().fingerprint() != Catalogue.open(data).fingerprint()


def test_the_same_events_are_the_same_delivery_and_new_ones_another(settings: Settings, data: Path) -> None:
    happen(settings, "5")
    first = load(data)
    assert load(data) == first
    happen(settings, "6")
    second = load(data)
    assert second.fingerprint != first.fingerprint
    assert Catalogue.open(*map(Path, first.paths)).fingerprint() == first.fingerprint  # what was trained on is still there


def test_without_events_there_is_no_folder(settings: Settings, data: Path) -> None:
    assert load(data) == Delivery(paths=(str(data),), fingerprint=Catalogue.open(data).fingerprint())
    assert not (settings.home / "events").exists()


def test_a_family_that_reads_none_gets_none(settings: Settings, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(settings, "5")
    monkeypatch.setattr(family, "get", lambda _: ReadsNone)
    assert load(data).paths == (str(data),)


def test_the_folders_of_an_earlier_run_are_that_delivery_again(settings: Settings, data: Path) -> None:
    happen(settings, "5")
    first = load(data)
    happen(settings, "6")
    assert load(*map(Path, first.paths)) == first


def test_a_table_that_the_family_needs_is_asked_for_first(settings: Settings, tmp_path: Path) -> None:
    happen(settings, "5")
    pd.DataFrame({"product_id": [5], "title": ["a"]}).to_parquet(tmp_path / "products.parquet")
    with pytest.raises(CatalogueError, match=r"has no purchases\.parquet; it has: products"):
        load(tmp_path)


def test_a_delivery_that_has_changed_since_the_run_began_is_refused(settings: Settings, data: Path) -> None:
    delivery = load(data)
    assert delivery.open().rows("purchases") == 2
    pd.DataFrame(TABLE | {"item_id": [5, 7]}).to_parquet(data / "purchases.parquet")
    with pytest.raises(CatalogueError, match=f"^{data} was {delivery.fingerprint[:12]} when the run began and is .* now; begin"):
        delivery.open()


@pytest.mark.slow
def test_a_delivery_in_a_store_keeps_its_address_and_each_machine_brings_it(
    settings: Settings, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "s3://shop/catalogue"
    with s3_server(tmp_path, "shop") as store:
        for name, value in {"ENDPOINT_URL": store, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        files = S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        files.put_file(str(data / "purchases.parquet"), f"{address}/purchases.parquet")
        happen(settings, "5")
        delivery = load(address)
        (kept,) = (settings.home / "events").iterdir()
        assert delivery.paths == (address, str(kept))
        assert delivery.fingerprint == Catalogue.open(data, kept).fingerprint()

        shutil.rmtree(settings.deliveries)  # as on another machine
        assert delivery.open().rows("purchases") == 2
        pd.DataFrame(TABLE | {"item_id": [5, 7]}).to_parquet(data / "purchases.parquet")
        files.put_file(str(data / "purchases.parquet"), f"{address}/purchases.parquet")
        with pytest.raises(CatalogueError, match=f"^{address}, {kept} was {delivery.fingerprint[:12]} when the run began"):
            delivery.open()
