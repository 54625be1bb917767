"""The committed bundles and the catalogues they were trained on. Nothing here trains."""

import committed
import pytest

from catalog.catalogue import Catalogue
from models.product.predictor import ProductPredictor
from models.recommender.predictor import RecommenderPredictor


@pytest.fixture(scope="session")
def product() -> ProductPredictor:
    return ProductPredictor.load(committed.bundle("product"), "cpu")


@pytest.fixture(scope="session")
def recommender() -> RecommenderPredictor:
    return RecommenderPredictor.load(committed.bundle("recommender"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """What the product model was trained on."""
    return committed.catalogue("product", tmp_path_factory.mktemp("product") / "catalogue")


@pytest.fixture(scope="session")
def bought_from(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """What the recommender was trained on."""
    return committed.catalogue("recommender", tmp_path_factory.mktemp("recommender") / "catalogue")
