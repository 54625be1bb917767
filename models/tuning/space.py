"""What a study searches: the space in the configuration, and the configuration of one trial."""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import optuna
import pandas as pd
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.load import explain, put, validate
from configs.schema import NOT_FITTED, Dimension, RunConfig, TuningConfig
from models.bundles import BaseVersion
from models.tuning.result import Value

NOT_SEARCHED = ("split", *NOT_FITTED)
"""A trial with another split would be measured on other rows."""

SET_BY_TUNING = {"trainer.epochs": "tuning.epochs sets it", "trainer.devices": "a trial has one; start a worker for each"}


def suggest(trial: optuna.Trial, space: Mapping[str, Dimension]) -> dict[str, Value]:
    """A value for each path, drawn by the study's sampler."""
    return {path: _draw(trial, path, dimension) for path, dimension in space.items()}


def _draw(trial: optuna.Trial, path: str, dimension: Dimension) -> Value:
    if dimension.choices is not None:
        return trial.suggest_categorical(path, dimension.choices)
    low, high = dimension.low, dimension.high
    assert low is not None and high is not None
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(path, low, high, log=dimension.log)
    return trial.suggest_float(path, low, high, log=dimension.log)


def changed(values: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested `values` with dotted paths set.

    Raises:
        ConfigError: a path goes through a value.
    """
    result = copy.deepcopy(dict(values))
    for path, value in params.items():
        put(result, path, value)
    return result


def trial_values(values: Mapping[str, Any], tuning: TuningConfig, params: Mapping[str, Value]) -> dict[str, Any]:
    """What is trained in a trial: the configured values, the trial's own, and as many epochs as a trial has."""
    fixed = {
        "trainer.epochs": tuning.epochs,
        "trainer.devices": 1,
        "trainer.strategy": "auto",
        "trainer.tensorboard": False,
        "trainer.wandb": "off",
    }
    return changed(without_tuning(values), {**fixed, **params})


def without_tuning(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run that does not search."""
    return {section: value for section, value in values.items() if section != "tuning"}


def check_space(schema: type[RunConfig], values: Mapping[str, Any]) -> TuningConfig:
    """The tuning section of `values`, whose space lies inside `schema`: each bound and choice is allowed by itself.

    Whether a combination is allowed shows only in its trial.

    Raises:
        ConfigError: an empty space, a path that does not exist or is not searched, or a value that is not allowed.
    """
    tuning = validate(schema, values, "configuration").tuning
    if not tuning.space:
        raise ConfigError(
            "tuning.space is empty; for example --set 'tuning.space.trainer.learning_rate={low: 0.0003, high: 0.01}'"
        )
    for path, dimension in tuning.space.items():
        if path in SET_BY_TUNING:
            raise ConfigError(f"tuning.space: {path} is not searched: {SET_BY_TUNING[path]}")
        if path.partition(".")[0] in NOT_SEARCHED:
            raise ConfigError(f"tuning.space: {path} is not searched: it does not change what is trained; use {_allowed(schema)}")
        for value in dimension.choices or (dimension.low, dimension.high):
            _check(schema, values, path, value)
    return tuning


def _allowed(schema: type[RunConfig]) -> str:
    return ", ".join(sorted(f"{name}.…" for name in schema.model_fields if name not in NOT_SEARCHED))


def _check(schema: type[RunConfig], values: Mapping[str, Any], path: str, value: Value) -> None:
    try:
        schema.model_validate(changed(without_tuning(values), {path: value}))
    except ValidationError as error:
        wanted = tuple(path.split("."))
        for problem in error.errors():
            where = problem["loc"]
            inside = where[: len(wanted)] == wanted
            above = wanted[: len(where)] == where and problem["type"] != "value_error"  # that would be a combination's
            if inside or above:
                raise ConfigError(explain(schema, problem, "tuning.space")) from error


def rows_of_trials(split: pd.DataFrame, tuning: TuningConfig) -> pd.DataFrame:
    """Rows that a trial may see: no test rows, and `tuning.rows` training rows at most, the same in each trial."""
    training = split[split["split"] == "train"]
    if tuning.rows and tuning.rows < len(training):
        training = training.sample(tuning.rows, random_state=tuning.seed)
    kept = split.index.isin(training.index) | ~split["split"].isin(("train", "test"))
    return split[kept].reset_index(drop=True)


def study_about(
    model: str, data: str, values: Mapping[str, Any], tuning: TuningConfig, base: BaseVersion | None = None
) -> dict[str, Any]:
    """What must be equal for trials of two workers to be comparable.

    `data` is the fingerprint of the delivery, `base` the version that the model rests on, where it does.
    """
    chosen = tuning.model_dump(mode="json", include={"metric", "direction", "epochs", "rows", "seed", "space"})
    fitted = {section: value for section, value in values.items() if section not in NOT_FITTED}
    about = {"model": model, "data": data, **chosen, "config": json.loads(json.dumps(fitted))}
    return about | ({"base": str(base)} if base else {})


def study_name(about: Mapping[str, Any]) -> str:
    """The same for the same search of the same data, so that a command typed again goes on with its study."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return f"{about['model']}-{digest[:8]}"
