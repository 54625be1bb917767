"""A real catalogue, written as CSV and brought back."""

import pandas as pd
import pytest

from catalog.catalogue import Catalogue, parse_attributes
from catalog.importing.mapping import LABELS, MISSING, ImportMapping
from catalog.importing.run import import_table
from catalog.schema import PRODUCT_COLUMNS
from tests.catalog.importing.bringing import Imports


def _stripped(attributes: dict[str, str]) -> dict[str, str]:
    return {name.strip(): value.strip() for name, value in attributes.items() if value.strip()}


@pytest.mark.slow
def test_a_real_catalogue_comes_back_as_it_was(myntra: Catalogue, imports: Imports) -> None:
    products = myntra.products()
    columns = {column: column for column in PRODUCT_COLUMNS if products[column].notna().any()}
    file = imports.folder / "products.csv"
    products[list(columns)].to_csv(file, index=False)
    mapping = ImportMapping.model_validate({"columns": columns, "missing": [], "decimal": ".", "fold": False})
    summary = import_table(mapping, file, out=imports.out)
    again = Catalogue.open(imports.out).products()
    assert (summary.read, summary.rows, summary.quarantined, summary.dropped) == (len(products), len(products), {}, {})
    for column in columns:
        ours, theirs = again[column], products[column]
        if column == "attributes":
            assert list(map(parse_attributes, ours)) == [_stripped(parse_attributes(text)) for text in theirs]
        elif theirs.dtype == object:  # line breaks are read as \n, and a cell of spaces says nothing
            theirs = theirs.str.replace("\r\n", "\n")
            pd.testing.assert_series_equal(ours, theirs.where(theirs.str.strip().fillna("") != "", None))
        else:
            pd.testing.assert_series_equal(ours, theirs)


def test_folding_a_real_catalogue_joins_what_differs_in_case_alone(myntra: Catalogue, imports: Imports) -> None:
    products = myntra.products()
    products = products[~products["title"].fillna("").str.strip().isin(("", *MISSING))]
    labels = [column for column in LABELS if column != "usage"]
    file = imports.folder / "products.csv"
    products[["product_id", "title", *labels]].to_csv(file, index=False)
    mapping = ImportMapping.model_validate({"columns": {c: c for c in ("product_id", "title", *labels)}})
    assert import_table(mapping, file, out=imports.out).left_out == {}
    again = Catalogue.open(imports.out).products()
    for column in labels:
        folded = set(products[column].dropna().str.casefold().str.split().str.join(" ")) - {"", "na"}
        assert again[column].nunique() == len(folded), column
