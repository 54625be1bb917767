"""The committed bundles. Nothing here trains."""

import committed
import pytest

from models.product.predictor import ProductPredictor
from models.recommender.predictor import RecommenderPredictor


@pytest.fixture(scope="session")
def product() -> ProductPredictor:
    return ProductPredictor.load(committed.bundle("product"), "cpu")


@pytest.fixture(scope="session")
def recommender() -> RecommenderPredictor:
    return RecommenderPredictor.load(committed.bundle("recommender"))
