"""A real catalogue, written as CSV and brought back."""

import pandas as pd

from catalog.catalogue import Catalogue, parse_attributes
from catalog.importing.mapping import LABELS, ImportMapping
from catalog.importing.run import import_table
from catalog.schema import PRODUCT_COLUMNS
from tests.catalog.importing.bringing import Imports


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
        if column == "attributes":
            assert [parse_attributes(text) for text in again[column]] == [parse_attributes(text) for text in products[column]]
        else:
            ours, theirs = again[column], products[column].replace("", None) if column != "listed_at" else products[column]
            pd.testing.assert_series_equal(ours, theirs, check_dtype=False)


def test_folding_a_real_catalogue_joins_what_differs_in_case_alone(myntra: Catalogue, imports: Imports) -> None:
    products = myntra.products()
    labels = [column for column in LABELS if column != "usage"]
    file = imports.folder / "products.csv"
    products[["product_id", "title", *labels]].to_csv(file, index=False)
    mapping = ImportMapping.model_validate({"columns": {c: c for c in ("product_id", "title", *labels)}})
    import_table(mapping, file, out=imports.out)
    again = Catalogue.open(imports.out).products()
    for column in labels:
        before = products[column].dropna().replace("NA", None).dropna()
        assert again[column].nunique() == before.str.casefold().str.split().str.join(" ").nunique(), column
