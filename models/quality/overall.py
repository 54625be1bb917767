"""One score of all axes, stated: the mean of the axes, weighted, mixed with the lowest of them.

    score = (1 - worst) * sum_a w_a s_a / sum_a w_a + worst * min_a s_a

It rises with every axis and never falls with one, lies between 0 and 1, and a single bad axis cannot hide behind good ones. Axes
that do not apply are left out of both.
"""

from collections.abc import Mapping

from models.quality.answers import Axis
from models.quality.config import OverallConfig


def overall(scores: Mapping[Axis, float], config: OverallConfig) -> float:
    """The score of a listing, 0 to 1; 0 where no axis applies."""
    if not scores:
        return 0.0
    weight = sum(config.weights[axis] for axis in scores)
    lowest = min(scores.values())
    mean = sum(config.weights[axis] * score for axis, score in scores.items()) / weight if weight else lowest
    return (1.0 - config.worst) * mean + config.worst * lowest
