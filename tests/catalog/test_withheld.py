"""Rows in quarantine are not read; everything else of the directory is as it was."""

from pathlib import Path

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    pd.DataFrame({"product_id": [1, 2, 2, 3], "title": ["a", "b", "copy of b", "c"]}).to_parquet(tmp_path / "products.parquet")
    return Catalogue.open(tmp_path)


def test_quarantined_rows_are_withheld_by_position(catalogue: Catalogue) -> None:
    quarantine = pd.DataFrame({"table": ["products", "products", "reviews"], "row": [2, 2, 0], "rule": ["unique", "x", "y"]})
    clean = catalogue.without(quarantine)
    assert clean.products()["title"].tolist() == ["a", "b", "c"]
    assert clean.rows("products") == 3
    assert clean.fingerprint() == catalogue.fingerprint()
    assert catalogue.rows("products") == 4


def test_an_empty_quarantine_withholds_nothing(catalogue: Catalogue) -> None:
    nothing = pd.DataFrame({"table": pd.Series(dtype=object), "row": pd.Series(dtype="int64")})
    assert catalogue.without(nothing).rows("products") == 4


def test_a_required_table_that_is_absent_is_named(catalogue: Catalogue) -> None:
    catalogue.require(["products"])
    with pytest.raises(CatalogueError, match=r"reviews\.parquet.*products"):
        catalogue.require(["products", "reviews"])
