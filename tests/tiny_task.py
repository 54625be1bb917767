"""A small multi-task model and its rows, importable in fresh processes. Loaded by tests of training on several ranks."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset

from configs.schema import TrainerConfig
from models.errors import TrainingError
from models.training.balancing import balancer
from models.training.distributed import gather_rows, sum_over_ranks
from models.training.task import Task
from models.training.trainer import FitResult, fit, training_loader, validation_loader


@dataclass
class Points:
    """Rows (n, 4), what is to be told of each (n), and whether the second head may know."""

    x: Tensor
    y: Tensor
    labelled: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Points":
        return Points(self.x.to(device), self.y.to(device), self.labelled.to(device))


class PointRows(Dataset[Points]):
    """Rows drawn once by a seed; few are labelled."""

    def __init__(self, rows: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(rows, 4, generator=generator)
        self.y = self.x.sum(1).sin()
        self.labelled = torch.rand(rows, generator=generator) < 0.2

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, keys: list[tuple[int, int]]) -> Points:
        rows = [index for _, index in keys]
        return Points(self.x[rows], self.y[rows], self.labelled[rows])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.gelu(self.layer(x))


class PointTask(Task):
    """A mean over rows, a mean over labelled rows, and a loss between rows."""

    def __init__(self, strategy: str = "uncertainty", breaks_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inward, self.block = nn.Linear(4, 8), Block()
        self.value, self.sign, self.unused = nn.Linear(8, 1), nn.Linear(8, 2), nn.Linear(2, 2)
        self.balancer = balancer(strategy, {"value": 1.0, "sign": 0.5, "contrastive": 0.3})
        self.breaks_at, self.steps = breaks_at, 0
        self.checkpointed = False

    def training_loss(self, batch: Points, generator: torch.Generator) -> dict[str, Tensor]:
        if self.steps == self.breaks_at:
            raise TrainingError(f"cut at step {self.steps}")
        self.steps += 1
        terms = self.terms(batch, everywhere=True)
        return {"loss": self.balancer(terms), **terms}

    def validation_loss(self, batch: Points) -> dict[str, Tensor]:
        terms = self.terms(batch, everywhere=False)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def terms(self, batch: Points, everywhere: bool) -> dict[str, Tensor]:
        hidden = self.inward(batch.x)
        hidden = checkpoint(self.block, hidden, use_reentrant=False) if self.checkpointed else self.block(hidden)
        terms = {"value": (self.value(hidden)[:, 0] - batch.y).square().mean()}
        known = batch.labelled
        lost = F.cross_entropy(self.sign(hidden[known]), (batch.y[known] > 0).long(), reduction="sum")
        both = torch.stack([lost, known.sum().to(lost.dtype)])
        lost, count = sum_over_ranks(both) if everywhere else both
        if count > 0:
            terms["sign"] = lost / count
        first, second = F.normalize(hidden, dim=-1), F.normalize(batch.x @ self.inward.weight.T, dim=-1)
        if everywhere:
            first, second = gather_rows(first), gather_rows(second)
        terms["contrastive"] = F.cross_entropy(first @ second.T, torch.arange(len(first), device=first.device))
        return terms

    def compile_parts(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    def checkpoint_activations(self) -> None:
        self.checkpointed = True


def fit_points(folder: Path, task: Task | None = None, rows: int = 21, **values: object) -> tuple[PointTask, FitResult]:
    """Train on a few rows; what `fit` left."""
    config, chosen = point_config(**values), task or PointTask()
    loaders = training_loader(PointRows(rows), config), validation_loader(PointRows(19, seed=1), config)
    result = fit(chosen, *loaders, config, folder)
    assert isinstance(chosen, PointTask)
    return chosen, result


def point_config(**values: object) -> TrainerConfig:
    base = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "ema_decay": 0.5, "workers": 0, "schedule": "cosine"}
    return TrainerConfig.model_validate(base | {"tensorboard": False, "precision": "32-true"} | values)
