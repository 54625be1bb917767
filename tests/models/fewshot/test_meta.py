"""The training loop: what it keeps, how it goes on, and when it stops."""

from pathlib import Path
from typing import Any

import fewshot_cases as cases
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.errors import TrainingError
from models.fewshot import meta
from models.fewshot.episodes import EpisodesConfig, Pool
from models.fewshot.learner import Pools, Settings
from models.fewshot.learners.prototypes import Prototypes, PrototypesConfig
from models.fewshot.meta import LAST, MetaConfig, Student, drills, meta_train
from models.fewshot.networks import FeatureNet
from models.fewshot.trained import UNSCALED

EPISODES = EpisodesConfig(queries=5, strangers=0, choosing=10)
CONFIG = PrototypesConfig(iterations=12, tasks=2, validate_every=4, validation_episodes=5, hidden=8, rate=0.01)


class Kept:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.told.append((step, metrics))


@pytest.fixture(scope="module")
def pools() -> Pools:
    return cases.pools()


def student() -> Student:
    torch.manual_seed(7)
    learner = Prototypes(FeatureNet(16, 8, 2.0), (16,), CONFIG, UNSCALED)
    return Student("prototypes", "features", learner.weights, learner.loss, learner.adapt)


def trained(folder: Path, pools: Pools, config: MetaConfig = CONFIG, loggers: Any = (), seed: int = 17) -> tuple[Student, Any]:
    made = student()
    return made, meta_train(made, pools, Settings(config, EPISODES, seed, folder, loggers))


def test_the_best_weights_are_kept_and_told(tmp_path: Path, pools: Pools) -> None:
    kept = Kept()
    made, result = trained(tmp_path, pools, loggers=[kept])
    assert [step for step, _ in kept.told] == [4, 8, 12]
    assert result.accuracy == max(metrics["prototypes/validation_accuracy"] for _, metrics in kept.told)
    assert (result.iterations, result.resumed) == (12, False)
    best = load_file(tmp_path / LAST)
    for name, value in made.weights.state_dict().items():
        torch.testing.assert_close(value, best[f"best.{name}"], rtol=0, atol=0)


def test_a_killed_training_goes_on_as_if_never_killed(tmp_path: Path, pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = trained(tmp_path / "whole", pools)
    every = CONFIG.model_copy(update={"checkpoint_minutes": 1e-9})
    real, done = meta.nn.utils.clip_grad_norm_, []

    def killed(*arguments: Any) -> Any:
        done.append(1)
        if len(done) == 7:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(meta.nn.utils, "clip_grad_norm_", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", pools, every)
    monkeypatch.undo()
    again, result = trained(tmp_path / "parts", pools, every)
    assert result.resumed
    assert result.iterations == 12
    for name, value in whole.weights.state_dict().items():
        torch.testing.assert_close(again.weights.state_dict()[name], value, rtol=0, atol=0)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [LAST]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, pools: Pools) -> None:
    trained(tmp_path, pools)
    with pytest.raises(TrainingError, match=r"last\.safetensors is of a training with another configuration or other products"):
        trained(tmp_path, pools, CONFIG.model_copy(update={"rate": 0.02}))
    with pytest.raises(TrainingError, match="another configuration or other products"):
        trained(tmp_path, pools, seed=18)
    (tmp_path / LAST).write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="is not a readable checkpoint; delete it to start anew"):
        trained(tmp_path, pools)


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path, pools: Pools) -> None:
    features = np.full_like(pools.train.features, np.inf)
    broken = Pool(features, pools.train.codes, pools.train.types, pools.train.product_ids)
    with pytest.raises(
        TrainingError, match=r"prototypes: loss nan .* is not finite at iteration 0; lower model\.prototypes\.rate"
    ):
        trained(tmp_path, Pools(broken, pools.validation))


def test_time_that_is_up_ends_it_after_one_update(tmp_path: Path, pools: Pools) -> None:
    _, result = trained(tmp_path, pools, CONFIG.model_copy(update={"max_minutes": 1e-9}))
    assert result.iterations == 1
    assert result.accuracy > 0


def test_tasks_follow_seed_and_iteration_alone(pools: Pools) -> None:
    config = MetaConfig(tasks=4, ways=3, shots=(1, 4), queries=2)
    found = list(drills(pools.train, config, "features", 3, 5))
    assert [len(drill.support) for drill in found] == [3, 12, 3, 12]
    assert [len(drill.query) for drill in found] == [6] * 4
    for drill, again in zip(found, drills(pools.train, config, "features", 3, 5), strict=True):
        torch.testing.assert_close(drill.support, again.support, rtol=0, atol=0)
        assert not {tuple(row) for row in drill.support.tolist()} & {tuple(row) for row in drill.query.tolist()}
    for other in (drills(pools.train, config, "features", 4, 5), drills(pools.train, config, "features", 3, 6)):
        assert not torch.equal(next(other).support, found[0].support)


def test_tasks_take_the_types_that_there_are() -> None:
    few = cases.pool(types=3, products=4)
    assert next(drills(few, MetaConfig(shots=(2,)), "features", 0, 0)).ways == 3
    with pytest.raises(TrainingError, match="training tasks of 4 shots: 0 types have more products; 2 are needed"):
        next(drills(few, MetaConfig(shots=(4,)), "features", 0, 0))
