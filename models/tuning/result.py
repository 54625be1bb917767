"""What a study found, as steps hand it on."""

from typing import Any

from configs.schema import StrictModel

Value = bool | int | float | str | None


class TrialResult(StrictModel):
    """One trial.

    Attributes:
        state: completed, pruned, failed, running or waiting.
        value: The best value of the metric, of a completed trial.
        values: The metric after each epoch, counted from 1.
        why: What ended a trial that could not be trained.
    """

    number: int
    state: str
    value: float | None
    values: dict[int, float]
    params: dict[str, Value]
    started_ms: int | None
    ended_ms: int | None
    why: str


class StudyResult(StrictModel):
    """A study as it stood when it was read.

    Attributes:
        about: What has to be equal for two trials to be comparable; see `models.tuning.space.study_about`.
        importances: Share of each parameter in the spread of the completed trials (PED-ANOVA, Watanabe et al. 2023); empty
            below two of them.
    """

    name: str
    metric: str
    direction: str
    about: dict[str, Any]
    trials: tuple[TrialResult, ...]
    best: TrialResult | None
    importances: dict[str, float]

    def count(self, state: str) -> int:
        """Trials in that state."""
        return sum(trial.state == state for trial in self.trials)

    def tally(self) -> str:
        """Numbers of trials, such as "18 completed, 2 pruned"."""
        states = dict.fromkeys(trial.state for trial in self.trials)
        return ", ".join(f"{self.count(state)} {state}" for state in states) or "no trials"
