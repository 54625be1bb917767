"""What a support set says of itself: how well its examples are told apart, and which two classes need more of them.

Shapes: n examples, W classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from models.fewshot.answers import Confusable, Measures
from models.fewshot.episodes import Floats
from models.fewshot.learner import Adapted, Learner, Support


def measured(learner: Learner[Any], adapted: Adapted, support: Support, classes: Sequence[str]) -> Measures:
    """Left-out accuracy, and the hardest pair with a hint."""
    left_out = learner.left_out(support)
    known = ~np.isnan(left_out[:, 0])
    right = left_out[known].argmax(axis=1) == support.codes[known]
    logits = np.where(known[:, None], left_out, adapted.logits(support.inputs))
    return Measures(
        left_out_accuracy=float(right.mean()) if known.any() else None,
        left_out=int(known.sum()),
        hardest=hardest(np.asarray(logits, dtype=np.float32), support, classes),
    )


def hardest(logits: Floats, support: Support, classes: Sequence[str]) -> Confusable:
    """The pair whose examples [n] give each other the highest probabilities, by logits [n, W]."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    mean = np.stack([probabilities[support.codes == code].mean(axis=0) for code in range(support.ways)])
    mutual = np.triu((mean + mean.T) / 2, k=1)
    first, second = np.unravel_index(int(mutual.argmax()), mutual.shape)
    counts = np.bincount(support.codes, minlength=support.ways)
    labels = (classes[int(first)], classes[int(second)])
    return Confusable(
        labels=labels, confusion=float(mutual[first, second]), hint=_hint(labels, int(counts[first]), int(counts[second]))
    )


def _hint(labels: tuple[str, str], first: int, second: int) -> str:
    """What to add."""
    if first == second:
        which = f"examples of both, which have {first} each" if first > 1 else "examples of both, which have one each"
    else:
        fewer, count = (labels[0], first) if first < second else (labels[1], second)
        which = f"examples of {fewer!r} first, which has {count} of {first + second}"
    return f"{labels[0]!r} and {labels[1]!r} look most alike: add {which}, and such as show what tells them apart"
