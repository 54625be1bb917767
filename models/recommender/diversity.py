"""Lists whose items are not all alike."""

import numpy as np
from numpy.typing import NDArray

from models.recommender.readings import Floats


def marginal_relevance(scores: Floats, vectors: Floats, places: int, diversity: float) -> NDArray[np.int64]:
    """Order [places] of candidates by maximal marginal relevance (Carbonell & Goldstein 1998).

    Each next is the one with the highest (1 - diversity) · score - diversity · its largest cosine with what was chosen.

    Args:
        scores: [n], from which relevance in 0…1 is made by their range.
        vectors: [n, d], unit vectors.
        places: How many to choose.
        diversity: 0: by score alone; 1: by unlikeness alone after the first.
    """
    order = np.argsort(-scores, kind="stable")
    if not diversity or len(scores) < 3:
        return order[:places].astype(np.int64)
    low, high = float(scores.min()), float(scores.max())
    relevance = (scores - low) / max(high - low, 1e-12)
    chosen, nearest = [int(order[0])], np.full(len(scores), -1.0)
    while len(chosen) < min(places, len(scores)):
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        value = (1 - diversity) * relevance - diversity * nearest
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
    return np.array(chosen, dtype=np.int64)
