"""Run a pipeline and read what it found out."""

import importlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from configs.errors import CheckFailed, VitrinaError
from configs.schema import RunConfig, StrictModel
from configs.settings import Settings
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation
from operations.cluster import ActiveStack, deliveries, require_folders, stack_for_run

ROOT = Path(__file__).parents[1]
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


def run_training(settings: Settings, model: str, data: Sequence[Path | str], config: RunConfig) -> TrainingOutcome:
    """Run the training pipeline on the active stack and wait for it; `data` are the catalogue's directories or addresses.

    Raises:
        VitrinaError: the data, the configuration or a service stopped it; the message says which.
    """
    require_folders(settings, data)
    stack = stack_for_run(settings)
    require_space(settings, stack)
    paths = deliveries(stack, data)
    from pipelines.training import training
    from steps.results import Checks, ModelRun

    run = execute(
        training,
        run=ModelRun.of(model, config),
        checks=Checks.of(config.validation),
        data=paths,
    )
    page = settings.reports / "evaluation" / model / f"{run.name}.html"
    registered = output_of(run, "register_model", "registered")
    return TrainingOutcome(
        model=model,
        version=registered.version,
        challenger=registered.challenger,
        gates=registered.gates,
        evaluation=output_of(run, "evaluate_model", "evaluation"),
        report=kept(stack, run, "write_report", "evaluation_report", page),
        zenml_run=str(run.id),
        stages=tuple(_stage(step) for step in run.steps.values()),
    )


def run_promotion(settings: Settings, model: str, version: int, reviewer: str, note: str) -> int:
    """Verify and promote; returns the champion's version.

    Raises:
        VitrinaError: no such version, its gates said no, or its files are not what was registered.
    """
    stack_for_run(settings)
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
    stack = stack_for_run(settings)
    from pipelines.monitoring import monitoring

    run = execute(monitoring, model=model, config=config.drift)
    outcome = output_of(run, "detect_drift", "monitoring")
    there = Path(outcome.report)
    copy = settings.reports / "monitoring" / model / f"{outcome.version}-{outcome.window_key}" / there.name
    page = kept(stack, run, "detect_drift", "drift_report", copy if stack.cluster else there)
    return outcome.model_copy(update={"report": page})


def require_space(settings: Settings, stack: ActiveStack) -> None:
    """Stores, checkpoints and reports of one run need room: say so before an hour of training, not after."""
    home = settings.home
    free = shutil.disk_usage(home).free
    if stack.cluster is None and free < MIN_FREE_BYTES:
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
        raise _cause(run)
    return run


def output_of(run: Any, step: str, name: str) -> Any:
    """The result called `name` of a step."""
    return run.steps[step].outputs[name][0].load()


def kept(stack: ActiveStack, run: Any, step: str, name: str, path: Path) -> str:
    """Where a page that a step made can be opened on this machine: where the step wrote it, or a copy from a pod or the cache."""
    if stack.cluster or not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(output_of(run, step, name), encoding="utf-8")
    return str(path)


def _cause(run: Any) -> VitrinaError:
    """What stopped a run whose steps are processes of their own, as the step itself would have said it."""
    for step in run.steps.values():
        if step.status.is_failed and step.exception_info:
            kind = _our_error(step.exception_info.source or "")
            message = step.exception_info.message or step.exception_info.traceback.strip().splitlines()[-1]
            return kind(message) if kind else CheckFailed(f"step {step.name} of run {run.name} failed: {message}")
    if run.exception_info:
        return CheckFailed(f"run {run.name} failed: {run.exception_info.message}")
    return CheckFailed(f"pipeline run {run.name} ended as {run.status.value}; see its log in the ZenML dashboard")


def _our_error(source: str) -> type[VitrinaError] | None:
    """The class that a step's error was of, where it is one of those that say what to mend; its message is the whole of it."""
    module, _, name = source.rpartition(".")
    if not (ROOT / f"{module.replace('.', '/')}.py").is_file():
        return None
    kind = getattr(importlib.import_module(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, VitrinaError)):
        return None
    return CheckFailed if kind.exit_code == CheckFailed.exit_code else VitrinaError


def _stage(step: Any) -> StageResult:
    cached = step.status.value == "cached"
    seconds = 0.0 if cached or not step.end_time else (step.end_time - step.start_time).total_seconds()
    return StageResult(name=step.name, seconds=round(seconds, 1), cached=cached)
