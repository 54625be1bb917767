"""Losses that several parts of the model are trained by. In training, all hold over the rows of every rank."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.distributed import gather_rows, rank, sum_over_ranks

LOG_TEMPERATURE = math.log(1 / 0.07)
"""Logarithm of the inverse temperature 1 / 0.07 at which contrastive losses begin, as in CLIP."""

MAX_LOG_SCALE = 4.6052
"""Its bound, ln 100, as in CLIP."""


def info_nce(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of matching row i of one (n, E) with row i of the other (Radford et al. 2021).

    In training the rows of every rank are matched among each other.
    """
    keys, others, own = first, second, torch.full((len(first),), float(rank()), device=first.device)
    if torch.is_grad_enabled():
        keys, others, own = (gather_rows(rows) for rows in (first, second, own))
    target = torch.arange(len(first), device=first.device) + int((own < rank()).sum())
    target = target.clamp(max=max(0, len(others) - 1))  # a rank without a row of its own has none there, and counts nowhere
    forth = F.cross_entropy(scale * first @ others.T, target, reduction="none")
    back = F.cross_entropy(scale * second @ keys.T, target, reduction="none")
    return mean((forth + back) / 2, torch.ones_like(target, dtype=torch.bool))


def anywhere(rows: Tensor, least: int = 1) -> bool:
    """Whether so many of `rows` (n,) bool are true, in training among those of every rank."""
    count = rows.sum()
    return int(sum_over_ranks(count) if torch.is_grad_enabled() else count) >= least


def mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of values (n,) over `rows` (n,) bool, in training over those of every rank; 0 over none."""
    found = torch.stack([torch.where(rows, values, 0.0).sum(), rows.sum().to(values.dtype)])
    total, count = sum_over_ranks(found) if torch.is_grad_enabled() else found
    average: Tensor = total / count.clamp(min=1)
    return average
