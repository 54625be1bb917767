"""How every model trains: one Lightning module, one trainer, checkpoints that survive a kill.

A model offers a `Task`: its losses on a batch. `fit` leaves the best averaged weights in the task and writes, in `workdir`:

    last.ckpt           everything a resumed run needs, replaced atomically every `checkpoint_minutes` and after each epoch
    best.safetensors    averaged weights of the best validation so far
    tensorboard/        events, where wanted
    wandb/              Weights & Biases' files, where wanted

A resumed run sees exactly the batches that the killed one had not: the order of an epoch depends on the seed and the
epoch alone, and the sampler starts at the batch where the checkpoint stopped. On several devices, each trains on its part
of every batch, so that the run is the same as on one; what a loss must do for that is in `models.training.distributed`.
"""

import contextlib
import copy
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from safetensors.torch import load_file
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR
from torch.utils.data import DataLoader

from configs.schema import TrainerConfig
from models.errors import TrainingError
from models.training import distributed, torchrun
from models.training.allocator import keep_freed_memory
from models.training.balancing import balancer_of
from models.training.batches import EpochBatches, OrderedBatches, mix, training_loader, validation_loader
from models.training.callbacks import BestWeights, training_callbacks
from models.training.distributed import on_ranks, rank, world_size
from models.training.environment import EndsAtOnce, Launched
from models.training.loggers import check_wandb, configured_loggers
from models.training.muon import Muon
from models.training.norms import shared_norms
from models.training.task import Task

__all__ = [
    "BEST",
    "LAST",
    "FitResult",
    "Learner",
    "TrainingError",
    "fit",
    "precision",
    "training_loader",
    "validation_loader",
]

BETAS = (0.9, 0.98)
LAST = "last.ckpt"
BEST = "best.safetensors"
SPAWN = "torch.multiprocessing.spawn"


@dataclass(frozen=True)
class FitResult:
    """What became of a training.

    Attributes:
        best_loss: Lowest validation loss.
        updates: Optimizer updates that were made.
        planned: Those that the configured epochs ask for; fewer are made where a stopping rule or `max_minutes` ends the run.
        epochs: Epochs begun.
        resumed: Whether a checkpoint was gone on from.
    """

    best_loss: float
    updates: int
    planned: int
    epochs: int
    resumed: bool


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
        step = self.config.seed, self.current_epoch, batch_idx
        torch.manual_seed(mix(*step, rank()))  # for dropout: a resumed run must go on as if never killed
        generator = torch.Generator().manual_seed(mix(*step, 0))  # see `models.training.distributed.drawn_rows`
        share = self._share(batch_idx)
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
        return terms["loss"] * share

    def _share(self, batch: int) -> float:
        """What this rank's mean over the batch counts among those of all ranks."""
        if world_size() == 1:
            return 1.0
        batches = cast(DataLoader[Any], self.trainer.train_dataloader).batch_sampler
        assert isinstance(batches, EpochBatches)
        distributed.share(batches.shared(batch))
        share = batches.share(batch)
        if balancer := balancer_of(self.task):
            balancer.share = share
        return share

    def on_after_backward(self) -> None:
        """The batch is done with."""
        distributed.share(None)

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Means over the batch, for `callbacks.ValidationMeans`."""
        return self.task.validation_loss(batch)

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
        """AdamW or Muon, decaying matrices of layers only (not embeddings, biases or vectors), under the schedule wanted."""
        optimizer = self._optimizer()
        if self.config.schedule == "plateau":  # stepped by callbacks.Plateau
            return optimizer
        updates = max(2, int(self.trainer.estimated_stepping_batches))
        scheduler = (
            _onecycle(optimizer, self.config, updates)
            if self.config.schedule == "onecycle"
            else _cosine(optimizer, self.config.warmup, updates)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """To the updates made, or where time is short as far as it has gone: rates are low when `max_minutes` end the run.

        The schedule of budgeted training (Li et al. 2020), the budget being wall time.
        """
        if self.config.max_minutes:
            updates = max(2, int(self.trainer.estimated_stepping_batches))
            reached = min(int(self._time_gone() * updates), updates - 1)
            scheduler.last_epoch = max(self.trainer.global_step, reached) - 1
        scheduler.step()

    def _time_gone(self) -> float:
        """Share of `max_minutes` that has gone by, the same on all ranks."""
        (timer,) = (callback for callback in cast(Any, self.trainer).callbacks if isinstance(callback, Timer))
        share: float = self.trainer.strategy.broadcast(timer.time_elapsed() / (60 * cast(float, self.config.max_minutes)))
        return share

    def _optimizer(self) -> torch.optim.AdamW:
        if self.config.optimizer == "adamw":
            return torch.optim.AdamW(self._groups(), betas=BETAS, fused=self.fused)
        dtype = torch.float32 if precision(self.config) == "32-true" else torch.bfloat16
        return Muon(self._groups(), dtype, betas=BETAS, fused=self.fused)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate, whether they decay, and whether Muon turns them."""
        embeddings, layers = _weights(self, nn.Embedding, nn.EmbeddingBag), _weights(self, nn.Linear, nn.Conv2d)
        slow = {id(p): factor for part, factor in self.task.slow_parts().items() for p in part.parameters()}
        groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
        for p in self.parameters():
            decay = self.config.weight_decay if p.ndim >= 2 and id(p) not in embeddings else 0.0
            turned = self.config.optimizer == "muon" and id(p) in layers and id(p) not in embeddings  # they may be tied
            if p.requires_grad:
                groups.setdefault((slow.get(id(p), 1.0) * self.config.learning_rate, decay, turned), []).append(p)
        return [
            {"params": found, "lr": rate, "weight_decay": decay, "orthogonal": turned}
            for (rate, decay, turned), found in groups.items()
        ]


class ShardedLearner(Learner):
    """Learner whose parameters, gradients and optimizer state are divided between ranks (FSDP2; Zhao et al. 2023)."""

    def configure_model(self) -> None:
        """Divide, once."""
        if isinstance(self, FSDPModule):
            return
        for parameter in self.parameters():
            parameter.data = parameter.data.contiguous()  # no other memory format can be divided
        mesh = cast(DeviceMesh, self.device_mesh)["data_parallel"]
        for part in self.task.compile_parts():
            fully_shard(part, mesh=mesh)
        whole = fully_shard(self, mesh=mesh)
        whole.set_reduce_scatter_unused_params(True)  # a rank may lack labels for a head that another trains
        for method in ("training_step", "validation_step"):
            register_fsdp_forward_method(self, method)

    def on_train_start(self) -> None:
        """Give every parameter its optimizer state, as a checkpoint of divided weights cannot be read without all of them."""
        optimizer = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
        if optimizer.state:
            return
        rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = 0.0
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for state in optimizer.state.values():
            state["step"].zero_()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave alone what no rank used, as without sharding: a gradient of 0 would still decay it and carry it on."""
        parameters = [p for p in self.parameters() if p.grad is not None]
        used = torch.stack([cast(DTensor, p.grad).to_local().any() for p in parameters]).int()
        dist.all_reduce(used, dist.ReduceOp.MAX)
        for parameter, use in zip(parameters, used.tolist(), strict=True):
            if not use:
                parameter.grad = None


def _weights(module: nn.Module, *kinds: type[nn.Module]) -> set[int]:
    """Ids of the weights of layers of some kinds."""
    return {id(part.weight) for part in module.modules() if isinstance(part, kinds)}


def _onecycle(optimizer: torch.optim.Optimizer, config: TrainerConfig, updates: int) -> OneCycleLR:
    """Up to the peak and down to nearly 0, both as cosines (Smith & Topin 2019)."""
    warmup = config.warmup if config.warmup * updates > 1 else 0.0  # torch divides by zero at 1
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=peaks, total_steps=updates, pct_start=warmup, cycle_momentum=False)


def _cosine(optimizer: torch.optim.Optimizer, warmup: float, updates: int) -> LambdaLR:
    """Linear from 1/n to 1 over the first n = warmup · updates, then half a cosine to 0 (Loshchilov & Hutter 2017)."""
    rising = int(warmup * updates)

    def factor(update: int) -> float:
        if update < rising:
            return (update + 1) / rising
        return (1 + math.cos(math.pi * min(1.0, (update - rising) / max(1, updates - rising)))) / 2

    return LambdaLR(optimizer, factor)


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
    check_wandb(config)
    world = torchrun.world()
    _check_devices(world.local_size if world else config.devices)
    workdir.mkdir(parents=True, exist_ok=True)
    with _quiet():
        result = on_ranks(_train, config.devices, workdir, task, training, validation, config, loggers=tuple(loggers))
    task.load_state_dict(load_file(workdir / BEST))
    task.eval().to("cpu")
    return cast(FitResult, result)


def _check_devices(wanted: int) -> None:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 1 if torch.backends.mps.is_available() else wanted
    if wanted > there:
        raise TrainingError(f"trainer.devices is {wanted}, and this machine has {there}")


def _train(
    rank: int,
    workdir: Path,
    task: Task,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    config: TrainerConfig,
    loggers: Sequence[Any],
) -> FitResult:
    if not torch.cuda.is_available():
        keep_freed_memory()  # in every rank, and its loader's workers: they are forked
    world = torchrun.world()
    ranks = world.size if world else config.devices
    last, best = workdir / LAST, BestWeights(workdir / BEST)
    batches, held_out = training.batch_sampler, validation.batch_sampler
    assert isinstance(batches, EpochBatches), "training must come from training_loader"
    assert isinstance(held_out, OrderedBatches), "validation must come from validation_loader"
    batches.shard(rank, ranks)
    held_out.shard(rank, ranks)
    resumed = last.is_file()
    if resumed:
        batches.skip(*_position(last))
    if ranks > 1:
        task = copy.deepcopy(task)  # new processes share the weights that came with the call, and fsdp divides them for good
    if config.gradient_checkpointing:
        task.checkpoint_activations()
    on_gpus = torch.cuda.is_available()
    with (
        _quiet(),
        configured_loggers(config, workdir, rank) as own,
        contextlib.nullcontext() if ranks == 1 or on_gpus else shared_norms(task),
        _compiled(task if config.compile else None),
    ):
        trainer = L.Trainer(
            accelerator="auto",
            devices=world.local_size if world else ranks,
            num_nodes=world.nodes if world else 1,
            plugins=[Launched(world)] if world else None,
            strategy=_strategy(config, ranks),
            precision=cast(Any, precision(config)),
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip_norm,  # makes Lightning call the learner's own clipping
            callbacks=[*training_callbacks(config, best, last), *([EndsAtOnce()] if world else [])],
            logger=[*loggers, *own] if rank == 0 else False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
            sync_batchnorm=ranks > 1 and on_gpus,  # faster than `shared_norms`, and for GPUs alone
            default_root_dir=workdir,
        )
        learner = ShardedLearner(task, config) if config.strategy == "fsdp" else Learner(task, config)
        L.seed_everything(config.seed + rank, verbose=False)
        try:
            trainer.fit(learner, training, validation, ckpt_path=last if resumed else None, weights_only=True)
        except (RuntimeError, KeyError) as error:
            if resumed and ("state_dict" in str(error) or isinstance(error, KeyError)):
                raise TrainingError(f"{last} does not belong to this model; delete it to start anew") from error
            raise
        finally:
            batches.shard(0, 1)
            held_out.shard(0, 1)
    return FitResult(
        best_loss=best.loss,
        updates=trainer.global_step,
        planned=-(-len(training) // config.accumulate) * config.epochs,
        epochs=trainer.current_epoch,
        resumed=resumed,
    )


def _strategy(config: TrainerConfig, ranks: int) -> Any:
    """Ranks are there already: Lightning's own launchers would run the whole command again, or know DDP only."""
    if ranks == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(data_parallel_size=ranks, tensor_parallel_size=1, save_distributed_checkpoint=False)
    # A batch trains only the heads it has labels for; a balancer's statistics are each rank's own until the epoch ends.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


@contextlib.contextmanager
def _compiled(task: Task | None) -> Iterator[None]:
    """Compile the parts that `task` names, in place, as long as it trains."""
    parts = list(task.compile_parts()) if task else []
    for part in parts:
        part.compile()
    try:
        yield
    finally:
        for part in parts:
            part._compiled_call_impl = None  # torch has no other way back


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints about itself are not for our users, nor is which process torch stops after another failed."""
    quieter = {"lightning.pytorch": logging.WARNING, "lightning.fabric": logging.WARNING, SPAWN: logging.ERROR}
    levels = {name: logging.getLogger(name).level for name in quieter}
    try:
        for name, level in quieter.items():
            logging.getLogger(name).setLevel(level)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
