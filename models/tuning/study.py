"""A study: trials of one model on the same rows, proposed by TPE, ended early where they do badly, shared by many workers.

Training comes from the model's own `train`, so that what is searched is what is trained later. A Lightning logger reports
the metric after each epoch and ends the trial when the pruner says so.
"""

import logging
import math
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from lightning.pytorch.loggers.logger import Logger
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, TrialPruned
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from catalog.catalogue import Catalogue
from configs.errors import ConfigError
from configs.load import validate
from configs.schema import TuningConfig
from models.errors import TrainingError
from models.family import Base, Family
from models.tuning.result import StudyResult, TrialResult
from models.tuning.space import suggest, trial_values

log = logging.getLogger(__name__)

ABOUT = "about"
WHY = "why"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_OF_TRIAL = re.compile(r"trial-(\d+)-")
STATES = {TrialState.COMPLETE: "completed", TrialState.FAIL: "failed"}


def open_study(storage: RDBStorage, name: str, tuning: TuningConfig, about: Mapping[str, Any]) -> optuna.Study:
    """The study called `name`, made where it is missing. `about` is what has to be equal for trials to be comparable.

    Raises:
        ConfigError: there is one of that name about something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler, pruner = TrialSeeded(tuning.seed, tuning.startup_trials), _pruner(tuning)
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=tuning.direction, sampler=sampler, pruner=pruner)
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
    there = study.user_attrs.get(ABOUT)
    if there is None:
        study.set_user_attr(ABOUT, dict(about))
    elif different := [key for key in about if there.get(key) != about[key]]:
        raise ConfigError(f"study {name!r} exists and differs in {', '.join(different)}; give another --study NAME")
    return study


def run_trials(
    study: optuna.Study,
    tuning: TuningConfig,
    objective: Callable[[optuna.Trial], float],
    record: Callable[[TrialResult], object],
) -> None:
    """Run trials until the study has `tuning.trials` of them, whoever ran them, or the time is over.

    `record` is called after each trial of this worker.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)

    def enough(study: optuna.Study, _: FrozenTrial | None = None) -> bool:
        states = (*FINISHED, TrialState.RUNNING)  # what another worker is running will be finished by it
        return len(study.get_trials(deepcopy=False, states=states)) >= tuning.trials

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        result = _result(trial)
        log.info("trial %d %s: %s %s %s", trial.number, result.state, tuning.metric, result.value, result.why or result.params)
        record(result)
        if enough(study):
            study.stop()

    if not enough(study):
        study.optimize(objective, timeout=60 * tuning.timeout_minutes if tuning.timeout_minutes else None, callbacks=[after])


def clear_ended(study: optuna.Study, folder: Path) -> None:
    """Remove what trials that ended have left below `folder`, as those of killed workers do; what others run meanwhile stays."""
    found = [(path, match) for path in folder.glob("trial-*") if (match := _OF_TRIAL.match(path.name))]
    ended = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}  # after the folders
    for path, match in found:
        if int(match[1]) in ended:
            shutil.rmtree(path, ignore_errors=True)


def objective_of(
    family: Family,
    catalogue: Catalogue,
    split: pd.DataFrame,
    values: Mapping[str, Any],
    tuning: TuningConfig,
    folder: Path,
    base: Base | None = None,
) -> Callable[[optuna.Trial], float]:
    """Train `family` with a trial's values in a folder of its own below `folder`; returns the best value of the metric.

    A combination of values that the model refuses, or that does not train (a loss that is not finite, no memory left), is
    pruned: it tells the sampler where not to look, and is no reason to stop.
    """

    def objective(trial: optuna.Trial) -> float:
        params = suggest(trial, tuning.space)
        try:
            config = validate(family.config, trial_values(values, tuning, params), f"trial {trial.number}")
        except ConfigError as error:
            raise _pruned(trial, error) from error
        reports = TrialLogger(trial, tuning.metric, tuning.epochs)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"trial-{trial.number}-", dir=folder) as workdir:
            try:
                augmented = family.augment(catalogue, split, config)
                family.train(catalogue, split, augmented, config, Path(workdir), [reports], base)
            except (TrainingError, torch.OutOfMemoryError) as error:
                raise _pruned(trial, error) from error
        return reports.best(tuning.direction)

    return objective


def _pruned(trial: optuna.Trial, error: BaseException) -> TrialPruned:
    why = " ".join(str(error).split())
    trial.set_user_attr(WHY, why)
    return TrialPruned(why)


class TrialLogger(Logger):
    """Lightning logger that hears a metric after each epoch.

    Raises, from within the training: TrialPruned when the pruner says so, TrainingError for a value that is not finite,
    ConfigError when validation logs no such metric.
    """

    def __init__(self, trial: optuna.Trial, metric: str, epochs: int) -> None:
        super().__init__()
        self.trial, self.metric, self.epochs = trial, metric, epochs
        self.values: list[float] = []

    @property
    def name(self) -> str:
        """Of the study."""
        return self.trial.study.study_name

    @property
    def version(self) -> int:
        """Of the trial."""
        return self.trial.number

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The study has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Report what validation measured; what training logs between is left out."""
        measured = sorted(name for name in metrics if name.startswith("validation/"))
        if not measured:
            return
        if self.metric not in metrics:
            raise ConfigError(f"tuning.metric: the model logs no {self.metric!r}; allowed: {', '.join(measured)}")
        value = float(metrics[self.metric])
        if not math.isfinite(value):
            raise TrainingError(f"{self.metric} is {value} after epoch {len(self.values) + 1}")
        self.values.append(value)
        self.trial.report(value, step=len(self.values))
        if len(self.values) < self.epochs and self.trial.should_prune():  # after the last epoch nothing is saved
            raise TrialPruned(f"after epoch {len(self.values)}: {self.metric} {value:g}")

    def best(self, direction: str) -> float:
        """The best value of any epoch, as the weights of the best epoch are kept."""
        assert self.values, "training ended without a validation"
        return max(self.values) if direction == "maximize" else min(self.values)


class TrialSeeded(BaseSampler):
    """TPE (Bergstra et al. 2011) whose draws depend on the seed, the trial's number and the trials before it alone.

    With one generator for the whole worker, two workers of one seed would draw the same values.
    """

    def __init__(self, seed: int, startup_trials: int) -> None:
        self.seed, self.startup_trials = seed, startup_trials
        self._tpe = self._sampler(0)

    def _sampler(self, number: int) -> TPESampler:
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        return TPESampler(n_startup_trials=self.startup_trials, seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Start a trial."""
        self._tpe = self._sampler(trial.number)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As TPE."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution) -> Any:
        """As TPE."""
        return self._tpe.sample_independent(study, trial, param_name, distribution)


def _pruner(tuning: TuningConfig) -> BasePruner:
    if tuning.pruner == "median":
        return MedianPruner(n_startup_trials=tuning.startup_trials)
    if tuning.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=tuning.epochs)
    return NopPruner()


def result_of(study: optuna.Study) -> StudyResult:
    """What the study found so far."""
    trials = tuple(_result(trial) for trial in study.get_trials(deepcopy=False))
    completed = [trial for trial in trials if trial.state == "completed"]
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return StudyResult(
        name=study.study_name,
        metric=study.user_attrs[ABOUT]["metric"],
        direction=study.direction.name.lower(),
        about=study.user_attrs[ABOUT],
        trials=trials,
        best=min(completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None),
        importances=optuna.importance.get_param_importances(study) if len(completed) > 1 else {},
    )


def _result(trial: FrozenTrial) -> TrialResult:
    state = STATES.get(trial.state, trial.state.name.lower())
    return TrialResult(
        number=trial.number,
        state=state,
        value=trial.value if state == "completed" else None,
        values=dict(trial.intermediate_values),
        params=dict(trial.params),
        started_ms=_ms(trial.datetime_start),
        ended_ms=_ms(trial.datetime_complete),
        why=trial.user_attrs.get(WHY, ""),
    )


def _ms(moment: Any) -> int | None:
    return None if moment is None else int(1000 * moment.timestamp())
