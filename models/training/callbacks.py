"""What happens around the steps of training. `training_callbacks` gives them in the order in which they must run."""

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar, Timer, WeightAveraging
from safetensors.torch import save_file
from torch import Tensor

from configs.schema import StopRule, TrainerConfig
from models.errors import TrainingError
from models.training.balancing import balancer_of
from models.training.batches import OrderedBatches
from models.training.distributed import gather_objects, world_size

log = logging.getLogger(__name__)

MONITOR = "validation/loss"


def training_callbacks(config: TrainerConfig, best: "BestWeights", last: Path) -> list[Callback]:
    """All of them."""
    callbacks: list[Callback] = [ValidationMeans(config), best]  # before the average leaves the module
    if config.ema_decay:
        callbacks.append(WeightAveraging(use_buffers=True, avg_fn=warm_average(config.ema_decay)))
    if config.schedule == "plateau":
        callbacks.append(Plateau(config.plateau_factor, config.plateau_patience))
    callbacks += [EarlyStop(rule) for rule in config.early_stopping]
    callbacks += [BalancerEpochs(), LastCheckpoint(last, config.checkpoint_minutes)]  # saves what those before it changed
    callbacks.append(RichProgressBar(console_kwargs={"stderr": True}) if sys.stderr.isatty() else EpochLog())
    if config.max_minutes:
        callbacks.append(Timer(timedelta(minutes=config.max_minutes)))  # Lightning validates once more when it stops
    return callbacks


def warm_average(decay: float) -> Any:
    """Averaging function of an exponential moving average whose decay starts low: min(decay, (1 + n) / (10 + n)).

    Without the warm-up a run of a thousand updates at decay 0.999 would still hold a third of its first weights. Buffers
    are averaged too: a batch norm's statistics belong to the weights that they were measured with.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():  # a counter among the buffers
            return current
        n = int(count)
        return torch.lerp(averaged, current.to(averaged.dtype), 1.0 - min(decay, (1 + n) / (10 + n)))

    return average


class ValidationMeans(Callback):
    """Logs each validation term's mean over the rows, of all ranks, of those batches that had it."""

    def __init__(self, config: TrainerConfig) -> None:
        self.needed = dict.fromkeys([MONITOR, *(rule.metric for rule in config.early_stopping)])
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the last ones."""
        self._sums = {}

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Add the batch, unless another rank does."""
        loader: Any = trainer.val_dataloaders
        batches: OrderedBatches = loader.batch_sampler
        for name, value in outputs.items() if batches.counts(batch_idx) else ():
            total, rows = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value.detach().float() * len(batch), rows + len(batch))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log.

        Raises:
            TrainingError: a metric that something waits for is not among them.
        """
        totals: dict[str, tuple[float, int]] = {}
        for part in gather_objects({name: (float(total), rows) for name, (total, rows) in self._sums.items()}):
            for name, (total, rows) in part.items():
                before = totals.get(name, (0.0, 0))
                totals[name] = (before[0] + total, before[1] + rows)
        pl_module.log_dict({f"validation/{name}": total / rows for name, (total, rows) in totals.items()})
        logged = trainer.callback_metrics
        if missing := [name for name in self.needed if name not in logged]:
            raise TrainingError(
                f"{', '.join(missing)} is not logged, yet training depends on it; logged are {', '.join(sorted(logged))}"
            )


class BestWeights(Callback):
    """Keeps the weights with the lowest validation loss; runs while the average is in the module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loss = float("inf")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if better.

        Raises:
            TrainingError: the validation loss is NaN or infinite.
        """
        loss = float(trainer.callback_metrics[MONITOR])
        if not torch.isfinite(torch.tensor(loss)):
            raise TrainingError(f"validation loss is {loss} at update {trainer.global_step}; lower trainer.learning_rate")
        if loss >= self.loss:
            return
        self.loss = loss
        if balancer := balancer_of(pl_module.task):
            balancer.before_saving()
        weights = trainer.strategy.lightning_module_state_dict()  # whole on rank 0, on all where nothing is divided
        if trainer.is_global_zero:
            partial = self.path.with_suffix(".partial")
            whole = {
                name.removeprefix("task."): value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in weights.items()
            }
            save_file(whole, partial)
            partial.replace(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Part of the checkpoint."""
        return {"loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume."""
        self.loss = float(state_dict["loss"])


class Plateau(Callback):
    """Lowers the learning rate when the validation loss no longer falls.

    Lightning steps such a schedule after the checkpoint of the epoch is written, so that a resumed run would miss a step.
    """

    def __init__(self, factor: float, patience: int) -> None:
        self.factor, self.patience = factor, patience
        self.schedule: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._resumed: dict[str, Any] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The optimizer is there."""
        optimizer = trainer.optimizers[0]
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=self.factor, patience=self.patience)
        if self._resumed is not None:
            self.schedule.load_state_dict(self._resumed)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look."""
        if self.schedule is not None:
            self.schedule.step(float(trainer.callback_metrics[MONITOR]))

    def state_dict(self) -> dict[str, Any]:
        """Part of the checkpoint."""
        return {} if self.schedule is None else dict(self.schedule.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume."""
        self._resumed = state_dict


class EarlyStop(EarlyStopping):
    """Ends training by one rule, and keeps a run ended that is resumed after it."""

    def __init__(self, rule: StopRule) -> None:
        super().__init__(
            rule.metric,
            mode=rule.mode,
            patience=rule.patience,
            min_delta=rule.min_delta,
            check_finite=False,
            check_on_train_epoch_end=False,  # before the checkpoint of the epoch is written
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Still out of patience?"""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class BalancerEpochs(Callback):
    """Tells the task's balancer, where it has one, that an epoch ended."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close its statistics."""
        if balancer := balancer_of(pl_module.task):
            balancer.epoch_ended()


class LastCheckpoint(Callback):
    """Replaces `last.ckpt` atomically every so many minutes and after each epoch."""

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.seconds = path, 60 * minutes
        self._written = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Write when it is time, never between two parts of an accumulated gradient."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        complete = progress.current.ready % trainer.accumulate_grad_batches == 0
        if not complete or progress.is_last_batch:
            return
        due = time.monotonic() - self._written >= self.seconds
        if trainer.strategy.broadcast(due) if world_size() > 1 else due:
            self._write(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write after validation."""
        self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if balancer := balancer_of(pl_module.task):
            balancer.before_saving()
        partial = self.path.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self.path)
        self._written = time.monotonic()


class EpochLog(Callback):
    """One line an epoch for those who see no progress bar."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what was measured."""
        if not trainer.is_global_zero:
            return
        values = {
            k.removeprefix("validation/"): float(v) for k, v in trainer.callback_metrics.items() if k.startswith("validation/")
        }
        told = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        log.info("epoch %d of %s: validation %s", trainer.current_epoch + 1, trainer.max_epochs, told)
