"""A judge, and an evaluation of a fake generator on products that it has not seen."""

import pytest
from bundles import tiny_catalogue
from imagegen_cases import MODEL, Fake, FakePainter, measured

from catalog.catalogue import Catalogue
from models.family import EvaluationRun
from models.imagegen.judge.judge import Judge
from models.imagegen.rows import labelled


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(tiny_catalogue(tmp_path_factory.mktemp("shop"), products=300))


@pytest.fixture(scope="session")
def judge(shop: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Of the first 180 products, chosen by the next 50."""
    products = shop.products()
    parts = [labelled(shop, part, MODEL.judge) for part in (products[:180], products[180:230])]
    return Judge.fit(parts[0], parts[1], MODEL.judge, tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="session")
def run(shop: Catalogue, judge: Judge) -> EvaluationRun:
    """Of a painter that gives every third seed the wrong colour."""
    return measured(shop, Fake(FakePainter(wrong=3), judge))
