"""One small trained bundle for all tests of models."""

from pathlib import Path

import pytest
from bundles import tiny_bundle, tiny_catalogue

from catalog.catalogue import Catalogue
from models.product.predictor import ProductPredictor


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("product"))


@pytest.fixture(scope="session")
def predictor(bundle_folder: Path) -> ProductPredictor:
    return ProductPredictor.load(bundle_folder, device="cpu")


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(tiny_catalogue(tmp_path_factory.mktemp("catalogue")))
