"""The committed bundle of the product model for all tests of models that need one, and what it was trained on."""

from collections.abc import Iterator
from pathlib import Path

import committed
import pandas as pd
import pytest
import quick_ranks

from catalog.catalogue import Catalogue
from models.product.predictor import ProductPredictor


@pytest.fixture(scope="session")
def bundle_folder() -> Path:
    return committed.bundle("product")


@pytest.fixture(scope="session")
def predictor(bundle_folder: Path) -> ProductPredictor:
    return ProductPredictor.load(bundle_folder, device="cpu")


@pytest.fixture(scope="session")
def some(product_catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The last 120 of its products and the last 60 of its reviews, of which every fifth is not labelled."""
    folder = tmp_path_factory.mktemp("some")
    products, reviews = product_catalogue.products().tail(120), product_catalogue.reviews().tail(60)
    images = pd.read_parquet(product_catalogue.root / "images.parquet")
    labelled = pd.Series(range(len(reviews)), index=reviews.index) % 5 != 2
    products.to_parquet(folder / "products.parquet", index=False)
    images[images["product_id"].isin(products["product_id"])].to_parquet(folder / "images.parquet", index=False)
    reviews.assign(recommended=reviews["recommended"].where(labelled)).to_parquet(folder / "reviews.parquet", index=False)
    return Catalogue.open(folder)


@pytest.fixture
def quick_start() -> Iterator[None]:
    """For tests of several ranks."""
    with quick_ranks.started_quickly():
        yield
