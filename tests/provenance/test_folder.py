"""A killed training finds its checkpoint again, and only the same training does."""

from pathlib import Path

import pytest

from configs.schema import RunConfig, TrainerConfig
from models.bundles import BaseVersion
from provenance.folder import training_folder

SAME = {"model": "product", "fingerprint": "f" * 64, "config": RunConfig(), "source": "s" * 64}


def test_the_same_training_has_the_same_folder(tmp_path: Path) -> None:
    folder = training_folder(tmp_path, **SAME)
    assert folder.is_dir()
    assert folder.parent == tmp_path / "training" / "product"
    assert training_folder(tmp_path, **SAME) == folder


@pytest.mark.parametrize(
    "other",
    [
        {"model": "recommender"},
        {"fingerprint": "0" * 64},
        {"config": RunConfig(trainer=TrainerConfig(seed=18))},
        {"source": "0" * 64},
        {"base": BaseVersion(model="product", version=3, digest="d" * 64)},
        {"left_out": "0" * 64},
    ],
)
def test_another_training_has_another_folder(tmp_path: Path, other: dict[str, object]) -> None:
    assert training_folder(tmp_path, **(SAME | other)) != training_folder(tmp_path, **SAME)


def test_another_base_is_another_training(tmp_path: Path) -> None:
    bases = [BaseVersion(model="product", version=n, digest=digest * 64) for n, digest in ((3, "d"), (3, "e"), (4, "d"))]
    assert len({training_folder(tmp_path, **SAME, base=base) for base in (*bases, bases[0])}) == 3
