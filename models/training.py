"""How every model trains: one Lightning module, one trainer, checkpoints that survive a kill.

A model offers a `Task`: its losses on a batch. `fit` leaves the best averaged weights in the task and writes, in `workdir`:

    last.ckpt           everything a resumed run needs, replaced atomically every `checkpoint_minutes` and after each epoch
    best.safetensors    averaged weights of the best validation so far
    tensorboard/        events, where wanted

A resumed run sees exactly the batches that the killed one had not: the order of an epoch depends on the seed and the
epoch alone, and the sampler starts at the batch where the checkpoint stopped.
"""

import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar, Timer, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset, Sampler

from configs.errors import VitrinaError
from configs.schema import TrainerConfig

log = logging.getLogger(__name__)

LAST = "last.ckpt"
BEST = "best.safetensors"
MONITOR = "validation/loss"


class TrainingError(VitrinaError):
    """Training cannot start, go on or resume."""


class Task(nn.Module):
    """A model with its losses."""

    def training_loss(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalar terms of which `loss` is minimised; randomness comes from `generator`, which follows the step."""
        raise NotImplementedError

    def validation_loss(self, batch: Any) -> dict[str, Tensor]:
        """Means over the batch of what is logged after each epoch; the lowest `loss` is the best."""
        raise NotImplementedError


@dataclass(frozen=True)
class FitResult:
    """Attributes: lowest validation loss, optimizer updates and epochs begun in all, and whether a checkpoint was resumed."""

    best_loss: float
    updates: int
    epochs: int
    resumed: bool


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), shuffled by seed and epoch; `skip` batches of the first epoch were already seen."""

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.epoch = 0
        self._skip = (0, 0)  # (epoch, batches)
        self.sampler = self  # Lightning sets the epoch on a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def skip(self, epoch: int, batches: int) -> None:
        """Leave out the first `batches` of `epoch`."""
        self._skip = (epoch, batches)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch))
        order = torch.randperm(self.rows, generator=generator).tolist()
        first = self._skip[1] if self.epoch == self._skip[0] else 0
        for start in range(first * self.batch_size, self.rows, self.batch_size):
            yield [(self.epoch, index) for index in order[start : start + self.batch_size]]


def training_loader(dataset: Dataset[Any], config: TrainerConfig) -> DataLoader[Any]:
    """Shuffled, resumable batches; `dataset.__getitems__` turns a list of (epoch, index) into one batch."""
    batches = EpochBatches(len(cast(Sized, dataset)), config.batch_size, config.seed)
    return _loader(dataset, batches, config.workers)


def validation_loader(dataset: Dataset[Any], config: TrainerConfig) -> DataLoader[Any]:
    """Every row once, in order, as (-1, index): nothing is augmented."""
    rows, size = len(cast(Sized, dataset)), config.batch_size
    batches = [[(-1, i) for i in range(start, min(start + size, rows))] for start in range(0, rows, size)]
    return _loader(dataset, batches, config.workers)


def _loader(dataset: Dataset[Any], batches: Any, workers: int) -> DataLoader[Any]:
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_is, num_workers=workers, persistent_workers=workers > 0)


def _as_is(batch: Any) -> Any:
    return batch


def warm_average(decay: float) -> Any:
    """Averaging function of an exponential moving average whose decay starts low: min(decay, (1 + n) / (10 + n)).

    Without the warm-up a run of a thousand updates at decay 0.999 would still hold a third of its first weights.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        n = int(count)
        return torch.lerp(averaged, current.to(averaged.dtype), 1.0 - min(decay, (1 + n) / (10 + n)))

    return average


class Learner(L.LightningModule):
    """Optimises any `Task`."""

    def __init__(self, task: Task, config: TrainerConfig) -> None:
        super().__init__()
        self.task = task
        self.config = config
        self.fused = precision(config) != "16-mixed"  # the fused step would unscale gradients only after they are clipped

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One loss.

        Raises:
            TrainingError: the loss is NaN or infinite.
        """
        generator = torch.Generator().manual_seed(_mix(self.config.seed, self.current_epoch, batch_idx))
        with self._attention():
            terms = self.task.training_loss(batch, generator)
        if not bool(torch.isfinite(terms["loss"])):
            values = ", ".join(f"{name} {value.item():g}" for name, value in terms.items())
            raise TrainingError(
                f"loss is not finite at update {self.global_step} (epoch {self.current_epoch}, batch {batch_idx}): "
                f"{values}; lower trainer.learning_rate ({self.config.learning_rate:g}) or use trainer.precision 32-true"
            )
        self.log_dict({f"train/{name}": value for name, value in terms.items()}, batch_size=1)
        self.log("loss", terms["loss"], prog_bar=True, logger=False, batch_size=1)
        return terms["loss"]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log means over all validation rows."""
        terms = self.task.validation_loss(batch)
        self.log_dict({f"validation/{name}": value for name, value in terms.items()}, batch_size=len(batch))

    def _attention(self) -> contextlib.AbstractContextManager[Any]:
        """On a CPU, the backward pass of flash attention in bf16 takes three times as long as that of plain attention."""
        if self.device.type == "cpu" and precision(self.config) == "bf16-mixed":
            return sdpa_kernel(SDPBackend.MATH)
        return contextlib.nullcontext()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip the norm ourselves: Lightning refuses to with a fused optimizer, though nothing is scaled but in fp16."""
        nn.utils.clip_grad_norm_(self.parameters(), self.config.clip_norm)

    def configure_optimizers(self) -> Any:
        """AdamW, decaying matrices of layers only (not embeddings, biases or vectors), under OneCycle (Smith & Topin 2019)."""
        embeddings = {id(p) for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        decayed = [p for p in self.parameters() if p.ndim >= 2 and id(p) not in embeddings]
        kept = [p for p in self.parameters() if p.ndim < 2 or id(p) in embeddings]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate, betas=(0.9, 0.98), fused=self.fused)
        updates = max(2, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.config.learning_rate,
            total_steps=updates,
            pct_start=self.config.warmup if self.config.warmup * updates > 1 else 0.0,  # torch divides by zero at 1
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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
        if trainer.sanity_checking:
            return
        loss = float(trainer.callback_metrics[MONITOR])
        if not torch.isfinite(torch.tensor(loss)):
            raise TrainingError(f"validation loss is {loss} at update {trainer.global_step}; lower trainer.learning_rate")
        if loss < self.loss:
            self.loss = loss
            partial = self.path.with_suffix(".partial")
            weights = cast(Learner, pl_module).task.state_dict()
            save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial)
            partial.replace(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Part of the checkpoint."""
        return {"loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume."""
        self.loss = float(state_dict["loss"])


class LastCheckpoint(Callback):
    """Replaces `last.ckpt` atomically every so many minutes and after each epoch."""

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.seconds = path, 60 * minutes
        self._written = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Write when it is time, never between two parts of an accumulated gradient."""
        complete = trainer.fit_loop.epoch_loop.batch_progress.current.ready % trainer.accumulate_grad_batches == 0
        due = time.monotonic() - self._written >= self.seconds
        if due and complete and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write after validation."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        partial = self.path.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        partial.replace(self.path)
        self._written = time.monotonic()


class EpochLog(Callback):
    """One line an epoch for those who see no progress bar."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what was measured."""
        values = {
            k.removeprefix("validation/"): float(v) for k, v in trainer.callback_metrics.items() if k.startswith("validation/")
        }
        told = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        log.info("epoch %d of %s: validation %s", trainer.current_epoch + 1, trainer.max_epochs, told)


def fit(
    task: Task,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    config: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> FitResult:
    """Train `task` in place, resuming from `workdir/last.ckpt` where there is one; it ends with the best averaged weights.

    `training` comes from `training_loader`, `loggers` are Lightning loggers. Nothing is printed on standard output.

    Raises:
        TrainingError: no rows, a loss that is not finite, or a checkpoint that does not belong to this task.
    """
    if not len(training) or not len(validation):
        raise TrainingError(f"{len(training)} training and {len(validation)} validation batches; both need at least one")
    workdir.mkdir(parents=True, exist_ok=True)
    last, best = workdir / LAST, BestWeights(workdir / BEST)
    batches = training.batch_sampler
    assert isinstance(batches, EpochBatches), "training must come from training_loader"
    resumed = last.is_file()
    if resumed:
        batches.skip(*_position(last))
    callbacks: list[Callback] = [best]  # first: it must see the averaged weights
    if config.ema_decay:
        callbacks.append(WeightAveraging(use_buffers=False, avg_fn=warm_average(config.ema_decay)))
    callbacks += [
        EarlyStopping(MONITOR, patience=config.patience, check_finite=False),
        LastCheckpoint(last, config.checkpoint_minutes),
    ]
    callbacks += [RichProgressBar(console_kwargs={"stderr": True}) if sys.stderr.isatty() else EpochLog()]
    if config.max_minutes:
        callbacks.append(Timer(timedelta(minutes=config.max_minutes)))  # Lightning validates once more when it stops
    if config.tensorboard:
        loggers = (*loggers, TensorBoardLogger(workdir, name="tensorboard", version=""))
    with _quiet():
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            precision=cast(Any, precision(config)),
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip_norm,  # makes Lightning call the learner's own clipping
            callbacks=callbacks,
            logger=list(loggers),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
            default_root_dir=workdir,
        )
        learner = Learner(task, config)
        L.seed_everything(config.seed, verbose=False)
        try:
            trainer.fit(learner, training, validation, ckpt_path=last if resumed else None, weights_only=True)
        except (RuntimeError, KeyError) as error:
            if resumed and ("state_dict" in str(error) or isinstance(error, KeyError)):
                raise TrainingError(f"{last} does not belong to this model; delete it to start anew") from error
            raise
    task.load_state_dict(load_file(workdir / BEST))
    task.eval().to("cpu")
    return FitResult(best_loss=best.loss, updates=trainer.global_step, epochs=trainer.current_epoch, resumed=resumed)


def precision(config: TrainerConfig) -> str:
    """What `auto` means here: bf16 where the device multiplies it in hardware, else fp16 on a GPU and fp32 on a CPU."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


def _position(checkpoint: Path) -> tuple[int, int]:
    """Epoch and batches of it that a checkpoint had seen.

    Raises:
        TrainingError: not a checkpoint of ours.
    """
    try:
        loops = torch.load(checkpoint, map_location="cpu", weights_only=True)["loops"]["fit_loop"]
        epoch, batch = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
        done = 0 if batch["is_last_batch"] else batch["current"]["ready"]
        return int(epoch["processed"]), int(done)
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
        raise TrainingError(f"{checkpoint} is not a readable checkpoint; delete it to start anew") from error


def _mix(*parts: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints about itself are not for our users."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            yield
    finally:
        for name, level in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(level)
