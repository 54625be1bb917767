from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from homes import fresh

from configs.settings import Settings
from monitoring.verdict import ReferenceSpec

SPEC = ReferenceSpec(
    numerical=("price", "attribute_count"),
    categorical=("brand", "season", "predicted_article_type"),
    text=("title",),
    embedding="embedding",
    prediction=("predicted_article_type",),
    confidence="confidence",
)
WORDS = np.array(["blue", "red", "green", "cotton", "striped", "round", "slim", "fit", "sports", "casual", "classic", "printed"])
TYPES = np.array(["Shirts", "Jeans", "Shoes", "Watches", "Belts"])


def sample(rows: int, seed: int) -> pd.DataFrame:
    """A made-up window: skewed prices with ties, many rare brands, missing seasons, clustered embeddings."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(TYPES), rows, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    season = rng.choice(["Summer", "Winter", "Fall"], rows).astype(object)
    season[rng.random(rows) < 0.15] = None
    predicted = np.where(rng.random(rows) < 0.1, rng.choice(TYPES, rows), TYPES[kind])
    return pd.DataFrame(
        {
            "price": np.round(np.exp(rng.normal(7, 0.7, rows)) / 50) * 50 + 99,
            "attribute_count": rng.poisson(3, rows),
            "brand": [f"brand {b}" for b in rng.zipf(1.5, rows).clip(max=400)],
            "season": season,
            "predicted_article_type": predicted,
            "true_article_type": TYPES[kind],
            "title": [" ".join([TYPES[k], *rng.choice(WORDS, 4)]) for k in kind],
            "embedding": list((np.eye(16)[kind] * 2 + rng.normal(0, 0.5, (rows, 16))).astype(np.float32)),
        }
    )


@pytest.fixture(scope="session")
def reference() -> pd.DataFrame:
    return sample(1500, seed=0)


@pytest.fixture
def bundle(tmp_path: Path, reference: pd.DataFrame, spec: ReferenceSpec) -> Path:
    """Of the module's `reference` and `spec`."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    reference.to_parquet(folder / "reference.parquet")
    (folder / "reference.json").write_text(spec.model_dump_json())
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fresh(tmp_path)


@pytest.fixture(scope="session")
def made() -> Callable[[int, int], pd.DataFrame]:
    """`sample`."""
    return sample


@pytest.fixture(scope="session")
def spec() -> ReferenceSpec:
    return SPEC
