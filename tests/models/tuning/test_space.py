from typing import Any, Self

import optuna
import pandas as pd
import pytest
from pydantic import model_validator

from configs.errors import ConfigError
from configs.load import ENVIRONMENTS, FOLDER, read_yaml, validate
from configs.schema import Dimension, RunConfig, StrictModel, TuningConfig
from models import family
from models.bundles import BaseVersion
from models.tuning.space import check_space, rows_of_trials, study_about, study_name, suggest, trial_values

PRESETS = {"small": 8, "large": 64}


class Model(StrictModel):
    preset: str = "small"
    width: int = 8
    heads: int = 4

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        return {"width": PRESETS[values.get("preset", "small")], **values}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self


class Config(RunConfig):
    model: Model = Model()


def tuning(**values: Any) -> TuningConfig:
    return TuningConfig.model_validate(values)


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        ({"low": 3, "high": 2}, "low 3 must be below high 2"),
        ({"low": 2, "high": 2}, "low 2 must be below high 2"),
        ({"low": 1}, "needs either low and high, or a list of choices"),
        ({}, "needs either low and high, or a list of choices"),
        ({"choices": []}, "list of choices that is not empty"),
        ({"choices": [1, 2], "low": 1}, "needs either low and high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low 0 must be above 0 on a logarithmic scale"),
        ({"from": 1, "high": 2}, "unknown key 'tuning.space.trainer.learning_rate.from'; allowed here: choices, high, log, low"),
        (5, "valid dictionary"),
    ],
)
def test_a_dimension_is_a_range_or_choices(dimension: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, {"tuning": {"space": {"trainer.learning_rate": dimension}}}, "x.yaml")


def test_paths_may_be_dotted_or_nested() -> None:
    low_high = {"low": 1, "high": 2}
    nested = tuning(space={"trainer": {"epochs": low_high, "weight_decay": low_high}, "model.width": {"choices": [1]}})
    dotted = tuning(space={"trainer.epochs": low_high, "trainer.weight_decay": low_high, "model.width": {"choices": [1]}})
    assert nested == dotted
    assert tuning(**nested.model_dump(mode="json")) == nested


def test_only_validation_metrics_choose() -> None:
    with pytest.raises(ConfigError, match=r"tuning\.metric = 'test/loss'"):
        validate(RunConfig, {"tuning": {"metric": "test/loss"}}, "x.yaml")


def test_values_are_drawn_inside_their_dimensions() -> None:
    space = {
        "whole": Dimension(low=2, high=5),
        "share": Dimension(low=0, high=0.5),
        "rate": Dimension(low=1e-4, high=1e-1, log=True),
        "name": Dimension(choices=("a", None, True)),
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggest(study.ask(), space) for _ in range(200)]
    assert {d["whole"] for d in drawn} == {2, 3, 4, 5}
    assert all(isinstance(d["share"], float) and 0 <= d["share"] <= 0.5 for d in drawn)
    assert {d["name"] for d in drawn} == {"a", None, True}
    below = sum(d["rate"] < 10**-2.5 for d in drawn)
    assert 70 < below < 130  # half of the decades, where a linear scale would give 3 %


def test_a_trial_changes_the_configuration_and_nothing_else() -> None:
    values = {"model": {"heads": 2}, "trainer": {"epochs": 9, "devices": 4}, "tuning": {"epochs": 1}}
    found = trial_values(values, tuning(epochs=3), {"trainer.learning_rate": 0.5, "model.preset": "large"})
    config = validate(Config, found, "trial")
    assert config.trainer.learning_rate == 0.5
    assert (config.trainer.epochs, config.trainer.devices) == (3, 1)
    assert (config.model.width, config.model.heads) == (64, 2)  # the preset's own values came with it
    assert "tuning" not in found
    assert values == {"model": {"heads": 2}, "trainer": {"epochs": 9, "devices": 4}, "tuning": {"epochs": 1}}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"tuning\.space is empty"),
        (
            {"trainer.learning_rat": {"low": 0.1, "high": 1.0}},
            r"unknown key 'trainer\.learning_rat'; allowed here: .*learning_rate",
        ),
        ({"trane.epochs": {"low": 1, "high": 2}}, "unknown key 'trane'"),
        (
            {"trainer.learning_rate": {"low": -1.0, "high": 1.0}},
            r"tuning\.space: trainer\.learning_rate = -1\.0: .*greater than 0",
        ),
        ({"trainer.schedule": {"choices": ["cosine", "sine"]}}, r"trainer\.schedule = 'sine': .*'cosine'"),
        ({"trainer.learning_rate.peak": {"low": 1, "high": 2}}, r"trainer\.learning_rate = "),
        ({"trainer.epochs": {"low": 1, "high": 2}}, r"trainer\.epochs is not searched: tuning\.epochs sets it"),
        ({"split.validation": {"low": 0.1, "high": 0.2}}, r"split\.validation is not searched"),
        ({"gates.thresholds": {"choices": [1]}}, r"gates\.thresholds is not searched"),
    ],
)
def test_a_space_outside_the_configuration_is_refused_in_one_line(space: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        check_space(Config, {"tuning": {"space": space}})
    assert "\n" not in str(refused.value)


def test_a_combination_is_not_judged_before_its_trial() -> None:
    # 12 is no multiple of 8 and 8 is no divisor of 12, yet (12, 4) and (16, 8) are fine.
    space = {"model.width": {"choices": [12, 16]}, "model.heads": {"choices": [4, 8]}}
    values = {"model": {"width": 12, "heads": 4}, "tuning": {"space": space}}
    assert set(check_space(Config, values).space) == set(space)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_spaces_that_we_ship_fit_their_models(path: Any) -> None:
    assert path.parent.name in ENVIRONMENTS
    values = read_yaml(path)
    if "space" in values.get("tuning", {}):
        assert check_space(family.get(path.stem).config, values).space


def test_trials_see_no_test_rows_and_the_same_sample_of_training_rows() -> None:
    split = pd.DataFrame({"product_id": range(100), "split": ["train"] * 70 + ["validation"] * 20 + ["test"] * 10})
    everything = rows_of_trials(split, tuning())
    assert everything["split"].value_counts().to_dict() == {"train": 70, "validation": 20}
    few = rows_of_trials(split, tuning(rows=30))
    assert few["split"].value_counts().to_dict() == {"train": 30, "validation": 20}
    assert set(few.loc[few["split"] == "train", "product_id"]) < set(range(70))
    pd.testing.assert_frame_equal(few, rows_of_trials(split, tuning(rows=30)))
    assert not few.equals(rows_of_trials(split, tuning(rows=30, seed=5)))
    assert len(rows_of_trials(split, tuning(rows=1000))) == 90


def test_a_study_is_named_after_what_it_is_about() -> None:
    space = {"trainer.learning_rate": {"low": 0.1, "high": 1.0}}
    base = study_about("product", "f00", {"trainer": {"batch_size": 8}}, tuning(space=space))
    assert study_name(base).startswith("product-")
    same = study_about(
        "product", "f00", {"trainer": {"batch_size": 8}, "gates": {}}, tuning(space=space, trials=99, pruner="none")
    )
    assert study_name(same) == study_name(base)
    others = [
        study_about("product", "f01", {"trainer": {"batch_size": 8}}, tuning(space=space)),
        study_about("product", "f00", {"trainer": {"batch_size": 9}}, tuning(space=space)),
        study_about("product", "f00", {"trainer": {"batch_size": 8}}, tuning(space=space, epochs=7)),
    ]
    rests = [BaseVersion(model="product", version=version, digest="d" * 64) for version in (3, 4)]
    others += [study_about("product", "f00", {"trainer": {"batch_size": 8}}, tuning(space=space), under) for under in rests]
    assert len({study_name(about) for about in (base, *others)}) == 6
