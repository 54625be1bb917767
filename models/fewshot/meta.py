"""The training that every episodic learner shares: tasks of meta-train types, the best weights on meta-validation kept.

Ranks share the tasks of an update, and the episodes of meta-validation: what they learn is what one rank would.
In the learner's folder it writes `last.safetensors`, from which a killed training goes on: weights, those that did best, the
optimizer's moments and how far it came. Which tasks an iteration sees depends on the seed and the iteration alone.

Shapes: n examples, m queries, W ways.
"""

import copy
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch import distributed as dist

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.errors import TrainingError
from models.fewshot.calibration import Reads, accuracy, choosing_episodes, inputs, scored
from models.fewshot.episodes import EpisodesConfig, Pool, draw, possible
from models.fewshot.learner import Adapted, Pools, Settings, Support
from models.fewshot.networks import prepared
from models.training.allocator import keep_freed_memory
from models.training.distributed import agreed, gather_objects, grouped, on_ranks, rank, world_size

LAST = "last.safetensors"


class MetaConfig(StrictModel):
    """How a learner is trained on episodes."""

    iterations: PositiveInt = Field(2000, description="updates of the shared weights at most")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall time after which training ends; the learning rate falls so that it is low by then"
    )
    tasks: PositiveInt = Field(4, description="tasks an update: the MAML paper's 4 on photos")
    ways: int = Field(5, ge=2, description="classes of a training task; all types where there are fewer")
    shots: tuple[PositiveInt, ...] = Field(
        (1, 5), min_length=1, description="examples a class, taken in turn by the tasks: one model serves few and more examples"
    )
    queries: PositiveInt = Field(5, description="products asked about of each class of a training task")
    rate: PositiveFloat = Field(1e-3, description="Adam's learning rate at the start, the MAML paper's; falls to 0 as a cosine")
    clip_norm: PositiveFloat = Field(10.0, description="the meta-gradient's norm is clipped to this: single tasks can explode")
    validate_every: PositiveInt = Field(100, description="iterations between two looks at meta-validation")
    validation_episodes: PositiveInt = Field(40, description="meta-validation episodes of each number of shots, always the same")
    checkpoint_minutes: PositiveFloat = Field(2.0, description="a resumable checkpoint is written this often")


@dataclass(frozen=True)
class Drill:
    """A training task.

    Attributes:
        support: float32 (n, …), prepared for the network.
        support_codes: int64 (n), in 0…ways-1.
        query: float32 (m, …).
        query_codes: int64 (m).
        ways: Number of classes.
    """

    support: Tensor
    support_codes: Tensor
    query: Tensor
    query_codes: Tensor
    ways: int


@dataclass(frozen=True)
class Student:
    """What is trained.

    Attributes:
        name: Of the learner, for metrics and messages.
        reads: What of a product it sees.
        weights: Everything that is learned.
        loss: A scalar for a task, from which gradients flow to `weights`.
        adapt: A classifier that gives raw scores, made with `weights` as they are.
    """

    name: str
    reads: Reads
    weights: nn.Module
    loss: Callable[[Drill], Tensor]
    adapt: Callable[[Support], Adapted]


@dataclass(frozen=True)
class MetaResult:
    """What became of a training.

    Attributes:
        accuracy: Best mean accuracy on meta-validation, over all numbers of shots, 0 to 1.
        iterations: Updates that were made.
        seconds: Wall time, that of a run before a resumption included.
        resumed: Whether a checkpoint was gone on from.
    """

    accuracy: float
    iterations: int
    seconds: float
    resumed: bool


def meta_train(student: Student, pools: Pools, settings: Settings[Any]) -> MetaResult:
    """Train `student.weights` in place; they end as those that did best on meta-validation.

    Raises:
        TrainingError: too few types or products for a task, a loss that is not finite, or a checkpoint of another training.
    """
    settings.workdir.mkdir(parents=True, exist_ok=True)
    told = replace(settings, loggers=())
    result: MetaResult = on_ranks(
        _meta_train, settings.ranks, settings.workdir, student, pools, told, loggers=tuple(settings.loggers)
    )
    student.weights.load_state_dict(_below("best.", _read(settings.workdir / LAST)[0]))
    return result


def _meta_train(
    number: int, folder: Path, student: Student, pools: Pools, settings: Settings[Any], loggers: Sequence[Any]
) -> MetaResult:
    if not torch.cuda.is_available():
        keep_freed_memory()
    if settings.ranks > 1:
        student = copy.deepcopy(student)  # new processes share the weights that came with the call
    with grouped(number, settings.ranks):
        run = _Run(student, pools, replace(settings, workdir=folder, loggers=loggers))
        resumed = run.resume()
        losses: list[float] = []
        over = run.over()
        while not over:
            losses.append(run.update())
            over = run.over()
            if run.iteration % run.config.validate_every == 0 or over:
                run.log({"loss": float(np.mean(losses)), "validation_accuracy": run.validate()})
                losses.clear()
            if number == 0:
                run.checkpoint(over)
        return MetaResult(run.reached, run.iteration, run.seconds(), resumed)


def drills(
    pool: Pool, config: MetaConfig, reads: Reads, seed: int, iteration: int, rank: int = 0, ranks: int = 1
) -> Iterator[Drill]:
    """Tasks of an iteration, numbers of shots in turn; of several ranks each has every so manieth.

    Raises:
        TrainingError: fewer than two types have more products than a task needs examples.
    """
    drawing = EpisodesConfig(queries=config.queries, strangers=0)
    for place in range(iteration * config.tasks + rank, (iteration + 1) * config.tasks, ranks):
        shots = config.shots[place % len(config.shots)]
        enough = possible(pool, shots)
        if len(enough) < 2:
            raise TrainingError(f"training tasks of {shots} shots: {len(enough)} types have more products; 2 are needed")
        ways = min(config.ways, len(enough))
        episode = draw(pool, enough, ways, shots, np.random.default_rng((seed, place)), drawing)
        yield Drill(
            prepared(inputs(pool, episode.support, reads)),
            torch.from_numpy(episode.support_codes),
            prepared(inputs(pool, episode.query, reads)),
            torch.from_numpy(episode.query_codes),
            ways,
        )


class _Run:
    """A training under way."""

    def __init__(self, student: Student, pools: Pools, settings: Settings[Any]) -> None:
        config: MetaConfig = settings.config
        self.student, self.pool, self.settings, self.config = student, pools.train, settings, config
        self.optimizer = torch.optim.Adam(student.weights.parameters(), lr=config.rate)
        self.validation = pools.validation
        self.episodes = [
            episode
            for shots in config.shots
            for episode in choosing_episodes(pools.validation, shots, config.validation_episodes, settings.episodes)
        ]
        if not self.episodes:
            raise TrainingError(
                f"{student.name}: meta-validation has no episode of {_listed(config.shots)} shots; it needs two types"
            )
        self.iteration, self.reached, self.best = 0, -1.0, _copy(student.weights)
        self.began = self.saved = time.monotonic()

    def seconds(self) -> float:
        """Wall time so far."""
        return time.monotonic() - self.began

    def progress(self) -> float:
        """Share of the training that is done, by iterations or by time, whichever is further."""
        gone = agreed(self.seconds()) / (60 * self.config.max_minutes) if self.config.max_minutes else 0.0
        return min(1.0, max(self.iteration / self.config.iterations, gone))

    def over(self) -> bool:
        """Whether no update is left; one is always made, so that something was trained."""
        return self.iteration > 0 and self.progress() >= 1.0

    def update(self) -> float:
        """One update; the mean loss of its tasks."""
        for group in self.optimizer.param_groups:  # budgeted training (Li et al. 2020): low when iterations or time end
            group["lr"] = self.config.rate * (1 + math.cos(math.pi * self.progress())) / 2
        self.optimizer.zero_grad()
        total = 0.0
        place = rank(), world_size()
        for drill in drills(self.pool, self.config, self.student.reads, self.settings.seed, self.iteration, *place):
            loss = self.student.loss(drill) / self.config.tasks
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        total = _added_up(self.student.weights, total)
        norm = nn.utils.clip_grad_norm_(self.student.weights.parameters(), self.config.clip_norm)
        if not (math.isfinite(total) and math.isfinite(norm.item())):
            raise TrainingError(
                f"{self.student.name}: loss {total:g} or gradient {norm.item():g} is not finite at iteration {self.iteration}; "
                f"lower model.{self.student.name}.rate ({self.config.rate:g}) or the inner rate"
            )
        self.optimizer.step()
        self.iteration += 1
        return total

    def validate(self) -> float:
        """Mean accuracy on meta-validation; the weights are kept where it is the best so far."""
        adapt, reads = self.student.adapt, self.student.reads
        own = [scored(self.validation, episode, adapt, reads) for episode in self.episodes[rank() :: world_size()]]
        turns = itertools.zip_longest(*gather_objects(own))
        found = accuracy([one for turn in turns for one in turn if one is not None])
        if found > self.reached:
            self.reached, self.best = found, _copy(self.student.weights)
        return found

    def log(self, found: dict[str, float]) -> None:
        """To all loggers."""
        for logger in self.settings.loggers:
            logger.log_metrics({f"{self.student.name}/{name}": value for name, value in found.items()}, step=self.iteration)

    def checkpoint(self, over: bool) -> None:
        """Write `last.safetensors` where it is time or training is over, whole or not at all."""
        if time.monotonic() - self.saved < 60 * self.config.checkpoint_minutes and not over:
            return
        tensors = {f"weights.{name}": value for name, value in _copy(self.student.weights).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for place, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{place}.{name}": value for name, value in moments.items()}
        told = {"iteration": self.iteration, "reached": self.reached, "seconds": self.seconds(), "of": self._identity()}
        path = self.settings.workdir / LAST
        partial = path.with_suffix(".partial")
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata={"told": json.dumps(told)})
        partial.replace(path)
        self.saved = time.monotonic()

    def resume(self) -> bool:
        """Go on from `last.safetensors` where there is one."""
        path = self.settings.workdir / LAST
        if not path.is_file():
            return False
        tensors, told = _read(path)
        if told.get("of") != self._identity():
            raise TrainingError(f"{path} is of a training with another configuration or other products; delete it to start anew")
        try:
            self._take(tensors, told)
        except (KeyError, ValueError, RuntimeError) as error:
            raise TrainingError(f"{path} does not belong to this model; delete it to start anew") from error
        return True

    def _take(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        self.student.weights.load_state_dict(_below("weights.", tensors))
        self.best = _below("best.", tensors)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("adam.", tensors).items():
            place, moment = name.split(".")
            state.setdefault(int(place), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.iteration, self.reached = int(told["iteration"]), float(told["reached"])
        self.began = time.monotonic() - float(told["seconds"])

    def _identity(self) -> list[Any]:
        """What a checkpoint must agree with: how long a training may take may change on the way."""
        config = self.config.model_dump(mode="json", exclude={"max_minutes", "checkpoint_minutes"})
        return [config, self.settings.seed, len(self.pool.codes), list(self.pool.types)]


def _added_up(weights: nn.Module, loss: float) -> float:
    """Give every rank the sum of all gradients; returns that of the losses."""
    if world_size() == 1:
        return loss
    parameters = list(weights.parameters())
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    total = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor([loss])])
    dist.all_reduce(total)
    for parameter, part in zip(parameters, torch.split(total[:-1], [p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter).clone()
    return float(total[-1])


def _copy(weights: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.state_dict().items()}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            told: dict[str, Any] = json.loads((file.metadata() or {})["told"])
            return {name: file.get_tensor(name) for name in file.keys()}, told  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path} is not a readable checkpoint; delete it to start anew") from error
