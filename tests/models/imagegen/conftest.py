"""A judge, and an evaluation of a fake generator on products that it has not seen."""

from pathlib import Path

import pytest
from bundles import tiny_catalogue
from imagegen_cases import Fake, FakePainter, FakeScorer

from catalog.catalogue import Catalogue
from configs.schema import EvaluationConfig
from models.family import EvaluationRun
from models.imagegen.config import ImagegenModelConfig, JudgeConfig, MeasuredConfig
from models.imagegen.evaluate import measure
from models.imagegen.judge.judge import Judge
from models.imagegen.rows import labelled

MODEL = ImagegenModelConfig(
    judge=JudgeConfig(channels=(8, 16, 32), features=12, min_photos=3, epochs=10, batch_size=32, learning_rate=1e-2, ema_decay=0.8),
    measured=MeasuredConfig(products=40, candidates=3, gallery=12, swept=2),
)
CONFIG = EvaluationConfig(bootstrap_samples=50, latency_calls=2, min_slice_rows=5)


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
    return measured(shop, Fake(FakePainter(wrong=3), judge, FakeScorer()))


def measured(shop: Catalogue, subject: Fake, keep: Path | None = None) -> EvaluationRun:
    """On 40 of the last 70 products."""
    products = shop.products()
    known = products[:230].assign(part=["train"] * 180 + ["validation"] * 50)
    return measure(subject, MODEL, shop, products[230:], known, CONFIG, "unseen", keep)
