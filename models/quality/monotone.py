"""Whether something is good, by evidence of which more is never worse: a logistic model with one rising curve for each evidence.

    score(x) = sigmoid(b + sum_j f_j(x_j)) / sigmoid(b + sum_j max f_j)

Each f_j is piecewise linear between knots and never falls, as its steps are no smaller than 0; so the score never falls either,
by construction. An additive model (Hastie and Tibshirani 1986) with the constraint of isotonic regression; it can be drawn, and
read by a person. The score is 1 where every evidence is as good as it gets.

Shapes: n rows, F evidence, K steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Monotone:
    """A fitted model.

    Attributes:
        knots: (F, K + 1), where the curve of each evidence bends; rising, equal ones make a step of no width, which is none.
        steps: (F, K), by how much each curve rises from knot to knot, at least 0.
        bias: b.
        typical: (F,), median of each evidence among the good; NaN where none has it.
    """

    knots: Floats
    steps: Floats
    bias: float
    typical: Floats

    @classmethod
    def fit(cls, good: Floats, bad: Floats, saturates: Sequence[float], steps: int = 8, penalty: float = 1e-3) -> Self:
        """Learn from evidence of good things (n, F) and of bad ones (m, F); NaN where an evidence is missing.

        Both weigh the same, however many they are.

        Args:
            good: Rows of evidence, more is better.
            bad: The same.
            saturates: Of each evidence, the share of good things beyond which more of it is no better: 0.25 makes the curve flat
                from the good ones' lower quartile on; 1 lets it rise to the best.
            steps: K.
            penalty: On the squares of the steps.
        """
        knots = np.stack([_knots(good[:, j], bad[:, j], top, steps) for j, top in enumerate(saturates)])
        width = knots.shape[0] * steps
        rows = np.concatenate([_ramps(good, knots).reshape(-1, width), _ramps(bad, knots).reshape(-1, width)])
        sign = np.concatenate([np.ones(len(good)), -np.ones(len(bad))])
        weight = np.concatenate([np.full(len(good), 0.5 / max(len(good), 1)), np.full(len(bad), 0.5 / max(len(bad), 1))])

        def loss(packed: Floats) -> tuple[float, Floats]:
            margin = sign * (packed[0] + rows @ packed[1:])
            slope = -weight * sign / (1 + np.exp(np.clip(margin, -500, 500)))
            value = float(weight @ np.logaddexp(0.0, -margin) + penalty * packed[1:] @ packed[1:])
            return value, np.concatenate([[slope.sum()], rows.T @ slope + 2 * penalty * packed[1:]])

        told = np.atleast_1d(~np.isnan(good).all(axis=0))  # what no good thing has says nothing, whatever bad ones have
        bounds = [(None, None), *((0.0, None if there else 0.0) for there in told for _ in range(steps))]
        found = minimize(loss, np.zeros(1 + width), jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(knots, found[1:].reshape(knots.shape[0], steps), float(found[0]), _median(good))

    def curves(self, evidence: Floats) -> Floats:
        """f_j(x_j) - max f_j of evidence (n, F): 0 where it is as good as it gets, or missing; below 0 else. (n, F)."""
        return np.asarray(((_ramps(evidence, self.knots) - 1.0) * self.steps).sum(-1))

    def score(self, evidence: Floats) -> Floats:
        """0 to 1 (n,) of evidence (n, F); missing evidence (NaN) contradicts nothing."""
        best = self.bias + self.steps.sum()
        return np.asarray(_sigmoid(best + self.curves(evidence).sum(-1)) / _sigmoid(np.array(best)))

    def state(self) -> dict[str, NDArray[Any]]:
        """What `restore` reads."""
        return {"knots": self.knots, "steps": self.steps, "bias": np.array([self.bias]), "typical": self.typical}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `state` gave."""
        knots, steps = (np.asarray(state[name], dtype=np.float64) for name in ("knots", "steps"))
        return cls(knots, steps, float(state["bias"][0]), np.asarray(state["typical"], dtype=np.float64))


def _knots(good: Floats, bad: Floats, top: float, steps: int) -> Floats:
    """Quantiles of what is bad and of the worse part of what is good, up to where more is no better."""
    good, bad = good[~np.isnan(good)], bad[~np.isnan(bad)]
    if not len(good):
        return np.zeros(steps + 1)
    last = np.quantile(good, top)
    both = np.concatenate([bad[bad < last], good[good <= last]])
    return (
        np.asarray(np.append(np.quantile(both, np.linspace(0, 1, steps + 1)[:-1]), last))
        if len(both)
        else np.full(steps + 1, last)
    )


def _ramps(evidence: Floats, knots: Floats) -> Floats:
    """How far each step is climbed (n, F, K), 0 to 1; all of them where evidence is missing."""
    low, high = knots[None, :, :-1], knots[None, :, 1:]
    width = high - low
    climbed = np.where(width > 0, (evidence[:, :, None] - low) / np.where(width > 0, width, 1.0), evidence[:, :, None] >= high)
    return np.asarray(np.where(np.isnan(evidence)[:, :, None], 1.0, np.clip(climbed, 0.0, 1.0)))


def _median(values: Floats) -> Floats:
    """Median of each column (F,); NaN where it is missing in all rows."""
    there = ~np.isnan(values).all(axis=0)
    found = np.full(values.shape[1], np.nan)
    found[there] = np.nanmedian(values[:, there], axis=0)
    return found


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))
