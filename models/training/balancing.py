"""How the losses of several tasks become one: strategies by name, each with a base weight for each term.

    fixed         Σ w · L
    uncertainty   Σ w · (L · exp(-s) + s / 2), s learnt (Kendall, Gal & Cipolla 2018)
    dwa           Σ w · λ · L, λ from how fast each term fell between the last two epochs (Liu, Johns & Davison 2019)

A term absent from a batch is left out of the sum and of the statistics: a batch trains the heads it has labels for.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from configs.errors import VitrinaError
from models.training.distributed import sum_over_ranks, world_size

LOG_VARIANCE_LIMIT = 4.0
TEMPERATURE = 2.0  # of DWA's softmax, as in the paper


class BalancingError(VitrinaError):
    """Losses that cannot be added up."""


class Balancer(nn.Module):
    """Adds weighted terms. The fixed strategy; others change `scaled`."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        wrong = {name: weight for name, weight in weights.items() if not (math.isfinite(weight) and weight >= 0)}
        if wrong or not any(weights.values()):
            raise BalancingError(f"weights of losses are 0 or more, and one at least is above 0; got {wrong or dict(weights)}")
        self.weights = dict(weights)
        self.places = {name: place for place, name in enumerate(weights)}
        self.share = 1.0  # `EpochBatches.share` of the batch: what this rank's terms count among those of all ranks

    def forward(self, terms: dict[str, Tensor]) -> Tensor:
        """One scalar from those terms (scalars) that the batch has.

        Raises:
            BalancingError: no term, or one without a weight.
        """
        if unknown := sorted(set(terms) - set(self.weights)):
            raise BalancingError(f"no weight for the loss {', '.join(unknown)}; there are weights for {', '.join(self.weights)}")
        if not terms:
            raise BalancingError(f"no loss in this batch; it needs labels for one at least of {', '.join(self.weights)}")
        return torch.stack([self.weights[name] * self.scaled(name, value) for name, value in terms.items()]).sum()

    def scaled(self, name: str, value: Tensor) -> Tensor:
        """The term before its base weight."""
        return value

    def epoch_ended(self) -> None:
        """Called on every rank after each training epoch, before its checkpoint."""

    def before_saving(self) -> None:
        """Called on every rank before weights are saved: what ranks hold must be what one of them can stand for."""


class Uncertainty(Balancer):
    """Learnt log-variances s, one a term, within ±`LOG_VARIANCE_LIMIT`; the base weight scales loss and s / 2 alike.

    The paper divides a classification's cross-entropy by σ² and a regression's squared error by 2σ². Here every term
    takes the first form: a regression's ½ is a factor of its base weight, and likelihoods of other shapes have no such
    factor. The bound keeps weights within exp(±limit), so a term that reaches 0, or a negative log-likelihood below it,
    cannot drive the total to minus infinity; tanh instead of a cut keeps a gradient that leads back.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        self.raw = nn.Parameter(torch.zeros(len(weights)))

    def scaled(self, name: str, value: Tensor) -> Tensor:
        """L · exp(-s) + s / 2."""
        log_variance = self.log_variance(name)
        return value * (-log_variance).exp() + log_variance / 2

    def log_variance(self, name: str) -> Tensor:
        """The term's s."""
        return LOG_VARIANCE_LIMIT * torch.tanh(self.raw[self.places[name]] / LOG_VARIANCE_LIMIT)


class DynamicWeightAverage(Balancer):
    """λ_k = K · softmax_k(r_k / T), r_k the term's mean in the last epoch over that in the one before.

    r is 1 where there are not two epochs yet, or a mean is not above 0, where a ratio says nothing. Means are over the
    batches of all ranks that had the term, in training only, and kept in buffers: a resumed run goes on exactly.
    """

    totals: Tensor
    counts: Tensor
    last: Tensor
    before: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        for name in ("totals", "counts", "last", "before"):
            self.register_buffer(name, torch.zeros(len(weights)))

    def scaled(self, name: str, value: Tensor) -> Tensor:
        """λ · L."""
        place = self.places[name]
        if self.training and torch.is_grad_enabled():
            self.totals[place] += self.share * value.detach()
            self.counts[place] += self.share
        return self.factors()[place] * value

    def factors(self) -> Tensor:
        """λ (K) of this epoch."""
        ratio = torch.where((self.last > 0) & (self.before > 0), self.last / self.before, 1.0)
        return len(self.weights) * torch.softmax(ratio / TEMPERATURE, dim=0)

    def before_saving(self) -> None:
        """Give every rank the average of their sums."""
        totals, counts = sum_over_ranks(torch.stack([self.totals, self.counts])) / world_size()
        self.totals.copy_(totals)
        self.counts.copy_(counts)

    def epoch_ended(self) -> None:
        """Close the epoch's means; a term that no batch had keeps those it has."""
        self.before_saving()
        seen = self.counts > 0
        mean = self.totals / torch.where(seen, self.counts, 1.0)
        self.before.copy_(torch.where(seen, self.last, self.before))
        self.last.copy_(torch.where(seen, mean, self.last))
        self.totals.zero_()
        self.counts.zero_()


def balancer_of(task: object) -> Balancer | None:
    """What is in the attribute `balancer` of a task."""
    found = getattr(task, "balancer", None)
    return found if isinstance(found, Balancer) else None


STRATEGIES: dict[str, type[Balancer]] = {"fixed": Balancer, "uncertainty": Uncertainty, "dwa": DynamicWeightAverage}


def balancer(name: str, weights: Mapping[str, float]) -> Balancer:
    """A strategy for the terms that `weights` names.

    Raises:
        BalancingError: no such strategy, or a weight is negative or not finite, or all are 0.
    """
    if name not in STRATEGIES:
        raise BalancingError(f"no loss strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name](weights)
