"""A bundle is there whole, or not at all."""

import json
from pathlib import Path

import pandas as pd
import pytest

from models.bundles import new_bundle, save_card, save_reference


def test_a_bundle_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old.json").write_text("{}")
    (tmp_path / "bundle.partial").mkdir()
    (tmp_path / "bundle.partial" / "of a killed run").write_text("")
    with new_bundle(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        assert not (tmp_path / "bundle").exists()
        save_reference(folder, [{"price": 1.0}, {"price": None}], {"numerical": ["price"]})
        save_card(folder, "# Card")
    assert not folder.exists()
    bundle = tmp_path / "bundle"
    assert {path.name for path in bundle.iterdir()} == {"reference.parquet", "reference.json", "card.md"}
    assert pd.read_parquet(bundle / "reference.parquet")["price"].tolist()[0] == 1.0
    assert json.loads((bundle / "reference.json").read_text()) == {"numerical": ["price"]}


def test_a_bundle_that_fails_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"), new_bundle(tmp_path):
        raise OSError("disk full")
    assert not (tmp_path / "bundle").exists()
