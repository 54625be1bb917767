"""The committed quality model, and listings that it has not seen."""

import committed
import pytest

from catalog.catalogue import Catalogue
from models.quality.answers import Candidate
from models.quality.family import FAMILY
from models.quality.predictor import QualityPredictor
from models.quality.rows import candidates_of


@pytest.fixture(scope="session")
def quality() -> QualityPredictor:
    return QualityPredictor.load(committed.bundle("quality"), "cpu")


@pytest.fixture(scope="session")
def unseen(product_catalogue: Catalogue) -> list[Candidate]:
    """40 test listings with their photos."""
    products = product_catalogue.products()
    split = FAMILY.split(product_catalogue, committed.config("quality"))
    rows = products[products["product_id"].isin(split.loc[split["split"] == "test", "product_id"])]
    return candidates_of(product_catalogue, rows.drop_duplicates("product_id").head(40))
