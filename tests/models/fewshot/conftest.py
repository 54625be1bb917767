"""A few-shot model of made-up clusters, what it measures, and the committed one."""

from pathlib import Path

import committed
import fewshot_cases
import pytest
from fewshot_cases import EVALUATION, TableEmbedder

from configs.load import validate
from models.bundles import BaseVersion
from models.family import EvaluationRun
from models.fewshot.bundle import BundleConfig
from models.fewshot.config import FewshotRunConfig
from models.fewshot.episodes import Pool
from models.fewshot.evaluate import measure_pool
from models.fewshot.fitting import fit
from models.fewshot.learner import Pools
from models.fewshot.predictor import FewshotPredictor

NOVEL = tuple(f"type 3.{code}" for code in range(22, 28))


@pytest.fixture(scope="session")
def made_up() -> Pools:
    """Types to learn from, and others to choose by."""
    return Pools(fewshot_cases.pool(10, 30, seed=1), fewshot_cases.pool(8, 30, seed=2))


@pytest.fixture(scope="session")
def tested() -> Pool:
    """22 types that are like no others, and six more of a department held back."""
    return fewshot_cases.pool(28, 26, seed=3)


@pytest.fixture(scope="session")
def made_up_config() -> FewshotRunConfig:
    values = {
        "model": {
            "learners": ["shrunk_prototypes", "nearest_centroid"],
            "episodes": {"choosing": 20, "measuring": 30},
            "unknown": {"episodes": 20},
            "shrunk_prototypes": {"shrinkage": [1.0, 0.5], "pull": [0.0, 1.0]},
        }
    }
    return validate(FewshotRunConfig, values, where="made_up_config")


@pytest.fixture(scope="session")
def made_up_predictor(
    made_up: Pools, tested: Pool, made_up_config: FewshotRunConfig, tmp_path_factory: pytest.TempPathFactory
) -> FewshotPredictor:
    """Its listings are titled by the row of `tested` that they are."""
    fitted, chosen = fit(made_up, made_up, made_up_config, tmp_path_factory.mktemp("made-up"))
    types = dict.fromkeys(made_up.train.types, "train") | dict.fromkeys(made_up.validation.types, "validation")
    types |= dict.fromkeys(tested.types, "test") | dict.fromkeys(NOVEL, "novel")
    settings = BundleConfig(config=made_up_config, data="0" * 64, types=types, products={}, chosen=chosen, learned_by_base=())
    base = BaseVersion(model="product", version=1, digest="d" * 64)
    return FewshotPredictor(fitted, TableEmbedder(tested.features, made_up.train.types), base, settings, "weights")


@pytest.fixture(scope="session")
def made_up_run(made_up_predictor: FewshotPredictor, tested: Pool) -> EvaluationRun:
    return measure_pool(made_up_predictor, tested, "0" * 64, EVALUATION, "test")


@pytest.fixture(scope="session")
def fewshot_folder() -> Path:
    return committed.bundle("fewshot")


@pytest.fixture(scope="session")
def fewshot_predictor(fewshot_folder: Path) -> FewshotPredictor:
    return FewshotPredictor.load(fewshot_folder, "cpu")
