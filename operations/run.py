"""Run a pipeline and read what it found out."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from configs.errors import CheckFailed, VitrinaError
from configs.schema import RunConfig, StrictModel
from configs.settings import Settings
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation
from operations.environment import prepare

MIN_FREE_BYTES = 500 * 1024**2


class StageResult(StrictModel):
    """One step of a run: how long it took, and whether its result came from the cache."""

    name: str
    seconds: float
    cached: bool


class TrainingOutcome(StrictModel):
    """What a training run produced."""

    model: str
    version: int
    challenger: bool
    gates: GateDecision
    evaluation: Evaluation
    report: str
    zenml_run: str
    stages: tuple[StageResult, ...]


def run_training(settings: Settings, model: str, data: Sequence[Path], config: RunConfig) -> TrainingOutcome:
    """Run the training pipeline on the active stack and wait for it; `data` are the catalogue's directories.

    Raises:
        VitrinaError: the data, the configuration or a service stopped it; the message says which.
    """
    prepare(settings)
    require_space(settings.home)
    from pipelines.store import open_store

    open_store()
    from pipelines.training import training
    from steps.results import Checks, ModelRun

    run = execute(
        training,
        run=ModelRun.of(model, config),
        checks=Checks.of(config.validation),
        data=[str(folder.resolve()) for folder in data],
    )
    registered = output_of(run, "register_model", "registered")
    return TrainingOutcome(
        model=model,
        version=registered.version,
        challenger=registered.challenger,
        gates=registered.gates,
        evaluation=output_of(run, "evaluate_model", "evaluation"),
        report=str(settings.reports / "evaluation" / model / f"{run.name}.html"),
        zenml_run=str(run.id),
        stages=tuple(_stage(step) for step in run.steps.values()),
    )


def run_promotion(settings: Settings, model: str, version: int, reviewer: str, note: str) -> int:
    """Verify and promote; returns the champion's version.

    Raises:
        VitrinaError: no such version, its gates said no, or its files are not what was registered.
    """
    prepare(settings)
    from pipelines.store import open_store

    open_store()
    from pipelines.promotion import promotion

    champion: int = output_of(
        execute(promotion, model=model, version=version, reviewer=reviewer, note=note), "promote_version", "champion"
    )
    return champion


def run_monitoring(settings: Settings, model: str, config: RunConfig) -> Any:
    """Judge the newest window of predictions; returns `monitoring.run.MonitorOutcome`.

    Raises:
        VitrinaError: no champion, or a store that cannot be reached.
    """
    prepare(settings)
    from pipelines.store import open_store

    open_store()
    from pipelines.monitoring import monitoring

    return output_of(execute(monitoring, model=model, config=config.drift), "detect_drift", "monitoring")


def require_space(home: Path) -> None:
    """Stores, checkpoints and reports of one run need room: say so before an hour of training, not after."""
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        needed = f"at least {MIN_FREE_BYTES / 1024**2:.0f} MiB"
        raise VitrinaError(f"{home} is on a full disk: {free / 1024**2:.0f} MiB of space left; {needed}, or move VITRINA_HOME")


def execute(pipeline: Callable[..., Any], **parameters: Any) -> Any:
    """Run a pipeline on the active stack and wait for it; returns ZenML's run.

    Raises:
        VitrinaError: what stopped a step.
    """
    from pipelines.hooks import failures

    failures.clear()
    try:
        run = pipeline(**parameters)
    except RuntimeError as error:
        if failures:
            raise failures[-1] from error
        raise
    if not run.status.is_successful:
        raise CheckFailed(f"pipeline run {run.name} ended as {run.status.value}; see its log in the ZenML dashboard")
    return run


def output_of(run: Any, step: str, name: str) -> Any:
    """The result called `name` of a step."""
    return run.steps[step].outputs[name][0].load()


def _stage(step: Any) -> StageResult:
    cached = step.status.value == "cached"
    seconds = 0.0 if cached or not step.end_time else (step.end_time - step.start_time).total_seconds()
    return StageResult(name=step.name, seconds=round(seconds, 1), cached=cached)
