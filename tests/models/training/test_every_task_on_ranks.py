"""Every task that is trained by gradient learns on two processes what it learns on one."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from rank_cases import CASES, Some
from tiny_task import point_config

from models.training.trainer import fit, training_loader, validation_loader

pytestmark = [pytest.mark.slow, pytest.mark.trains, pytest.mark.usefixtures("quick_start")]

if torch.cuda.is_available():
    pytest.skip("gloo is tested where there is no GPU; hide it with CUDA_VISIBLE_DEVICES=", allow_module_level=True)

CLOSE = 2e-5
"""Of validation losses, relative: fifty times what was seen, for sums are made in another order."""

FSDP = {"strategy": "fsdp", "ema_decay": 0.0}


def losses(name: str, folder: Path, **values: Any) -> dict[str, list[float]]:
    """What validation says after each of two epochs: 17 rows in batches of 8, so that the last has one row for two ranks."""
    folder.mkdir()
    case = CASES[name](folder)
    config = point_config(**({"batch_size": 8, "learning_rate": 1e-3, "ema_decay": 0.5, "schedule": "cosine"} | values))
    loaders = training_loader(Some(case.training, 17), config), validation_loader(Some(case.validation, 14), config)
    fit(case.task, *loaders, config, folder, [CSVLogger(folder, name="", version="")])
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["validation/loss"]]
    assert len(rows) == 2
    return {key: [float(row[key]) for row in rows] for key in rows[0] if key.startswith("validation/") and rows[0][key]}


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_does(tmp_path: Path, name: str) -> None:
    alone, both = losses(name, tmp_path / "one"), losses(name, tmp_path / "two", devices=2)
    assert alone.keys() == both.keys()
    for term, values in both.items():
        np.testing.assert_allclose(values, alone[term], rtol=CLOSE, err_msg=term)


@pytest.mark.parametrize("name", ["links", "describer", "started_full"])
def test_ranks_that_divide_the_weights_learn_the_same(tmp_path: Path, name: str) -> None:
    alone, both = losses(name, tmp_path / "one", ema_decay=0.0), losses(name, tmp_path / "two", devices=2, **FSDP)
    for term, values in both.items():
        np.testing.assert_allclose(values, alone[term], rtol=CLOSE, err_msg=term)
