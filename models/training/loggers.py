"""Where training's metrics go beside what the caller gives: TensorBoard and Weights & Biases."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from configs.schema import TrainerConfig
from models.errors import TrainingError

API_KEY = "WANDB_API_KEY"


def check_wandb(config: TrainerConfig) -> None:
    """Refuse what could not work, before anything is trained.

    Raises:
        TrainingError: wandb is wanted and not installed, or online without a key.
    """
    if config.wandb == "off":
        return
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise TrainingError(f"trainer.wandb={config.wandb} needs the package wandb, which is not installed") from error
    if config.wandb == "online" and not os.environ.get(API_KEY):
        raise TrainingError(f"trainer.wandb=online needs {API_KEY} in the environment; trainer.wandb=offline writes files only")


@contextlib.contextmanager
def configured_loggers(config: TrainerConfig, workdir: Path, rank: int) -> Iterator[list[Any]]:
    """Loggers of rank 0, writing to `workdir/tensorboard` and `workdir/wandb`; the latter's run is finished at the end.

    Raises:
        TrainingError: Weights & Biases starts no run.
    """
    if rank:
        yield []
        return
    loggers: list[Any] = [TensorBoardLogger(workdir, name="tensorboard", version="")] if config.tensorboard else []
    if config.wandb == "off":
        yield loggers
        return
    import wandb

    try:
        run = wandb.init(
            project=config.wandb_project,
            dir=workdir,
            mode=config.wandb,
            id=_run_id(workdir),
            resume="allow" if config.wandb == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
    except wandb.errors.Error as error:
        raise TrainingError(f"trainer.wandb={config.wandb}: no run could be started: {error}") from error
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step")
    try:
        yield [*loggers, WandbLogger(experiment=run)]
    finally:
        run.finish()


def _run_id(workdir: Path) -> str:
    """The same for every resumption in this folder; files written offline are merged by it."""
    path = workdir / "wandb" / "run_id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(uuid4().hex[:12], encoding="ascii")
        partial.replace(path)
    return path.read_text(encoding="ascii")
