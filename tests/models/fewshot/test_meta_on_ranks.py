"""Meta-training on two processes against one: the same tasks, shared."""

import json
from pathlib import Path
from typing import Any

import fewshot_cases as cases
import pytest
import torch
from meta_cases import Broken, Cut, Kept
from safetensors import safe_open
from safetensors.torch import load_file

from models.errors import TrainingError
from models.fewshot.episodes import EpisodesConfig
from models.fewshot.learner import Settings
from models.fewshot.learners.maml import FeatureMaml, FeatureMamlConfig
from models.fewshot.learners.photo_maml import PhotoMaml, PhotoMamlConfig
from models.fewshot.learners.prototypes import Prototypes, PrototypesConfig
from models.fewshot.meta import LAST, MetaConfig
from models.fewshot.trained import TrainedLearner

pytestmark = [pytest.mark.slow, pytest.mark.trains, pytest.mark.usefixtures("quick_start")]

EPISODES = EpisodesConfig(queries=5, strangers=0, choosing=10)
SMALL = {"iterations": 5, "tasks": 3, "validate_every": 2, "validation_episodes": 5, "rate": 0.01}
LEARNERS: dict[str, tuple[type[TrainedLearner[Any]], MetaConfig]] = {
    "prototypes": (Prototypes, PrototypesConfig(**SMALL, hidden=8)),
    "maml": (FeatureMaml, FeatureMamlConfig(**SMALL, hidden=8, meta_sgd=True)),
    "photo_maml": (
        PhotoMaml,
        PhotoMamlConfig(**SMALL | {"validation_episodes": 2}, filters=8, groups=2, max_minutes=600, inner_steps=1),
    ),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_two_ranks_learn_what_one_does(tmp_path: Path, name: str) -> None:
    """Three tasks an update: two of one rank, one of the other."""
    learner, config = LEARNERS[name]
    pools = cases.pools(photos=name.startswith("photo"))
    told = []
    for folder, ranks in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        folder.mkdir()
        loggers = [Kept(folder / "told")]
        made = learner.fit(pools, Settings(config, EPISODES, 17, folder, loggers, ranks))
        told.append((load_file(folder / LAST), (folder / "told").read_text().splitlines(), made.weights.state_dict()))
    (alone, losses, weights), (both, of_both, same) = told
    assert alone.keys() == both.keys()
    for tensor, value in both.items():
        torch.testing.assert_close(value, alone[tensor], atol=1e-5, rtol=1e-4, msg=lambda text, at=tensor: f"{at}: {text}")
    for tensor, value in same.items():
        torch.testing.assert_close(value, weights[tensor], atol=1e-5, rtol=1e-4)
    assert [line.split()[0] for line in of_both] == [line.split()[0] for line in losses] == ["2", "4", "5"]


@pytest.mark.parametrize("then", [1, 2])
def test_a_cut_training_goes_on_with_as_many_ranks_or_fewer(tmp_path: Path, then: int) -> None:
    learner, config = LEARNERS["prototypes"]
    pools, often = cases.pools(), config.model_copy(update={"checkpoint_minutes": 1e-6})
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    for folder in (straight, cut):
        folder.mkdir()
    learner.fit(pools, Settings(config, EPISODES, 17, straight))
    with pytest.raises(TrainingError, match=r"^cut$"):
        Cut.fit(pools, Settings(often, EPISODES, 17, cut, (), 2))
    with safe_open(cut / LAST, framework="pt") as file:
        assert 0 < json.loads(file.metadata()["told"])["iteration"] < config.iterations
    learner.fit(pools, Settings(config, EPISODES, 17, cut, (), then))
    found, expected = (load_file(folder / LAST) for folder in (cut, straight))
    for tensor, value in found.items():
        torch.testing.assert_close(value, expected[tensor], atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_not_finite_on_one_rank_ends_the_training_of_both(tmp_path: Path) -> None:
    """Of three tasks the first rank has two."""
    with pytest.raises(TrainingError, match=r"^meta_cases: loss nan or gradient nan is not finite at iteration 0"):
        Broken.fit(cases.pools(), Settings(LEARNERS["prototypes"][1], EPISODES, 17, tmp_path, (), 2))
    assert not (tmp_path / LAST).exists()
