"""Events become a folder beside the catalogue's own, named by its content."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from homes import settings_of

from catalog.catalogue import Catalogue
from configs.settings import Settings
from database.events import EventRow, insert_events
from provenance.events import with_events, without_events


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    return settings_of(home)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    pd.DataFrame({"user_id": [1, 2], "item_id": [5, 6]}).to_parquet(folder / "purchases.parquet")
    return folder


def happen(settings: Settings, item: str) -> None:
    insert_events(
        settings.database_url, [EventRow(user_id="1", item_id=item, kind="view", occurred_at=datetime(2026, 1, 1, tzinfo=UTC))]
    )


def test_events_are_a_further_folder_and_can_be_taken_away_again(settings: Settings, data: Path) -> None:
    happen(settings, "5")
    first = with_events(Catalogue.open(data), settings)
    assert first.folders[0] == data
    assert first.events()["item_id"].tolist() == ["5"]
    assert without_events(first.folders) == [data]
    assert with_events(Catalogue.open(data), settings).folders == first.folders
    happen(settings, "6")
    assert with_events(Catalogue.open(data), settings).folders != first.folders


def test_without_events_the_catalogue_is_taken_as_it_is(settings: Settings, data: Path) -> None:
    catalogue = Catalogue.open(data)
    assert with_events(catalogue, settings) is catalogue


def test_events_of_the_delivery_itself_are_taken_as_they_are(
    settings: Settings, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    happen(settings, "5")
    own = {"user_id": [1], "item_id": [5], "kind": ["cart"], "timestamp": [pd.Timestamp("2026-01-01", tz="UTC")]}
    pd.DataFrame(own).to_parquet(data / "events.parquet")
    catalogue = Catalogue.open(data)
    assert with_events(catalogue, settings) is catalogue
    assert str(data / "events.parquet") in caplog.text
