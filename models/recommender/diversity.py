"""Lists whose items are not all alike. Shapes: I items, n candidates, d dimensions."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from configs.schema import PositiveInt, StrictModel
from models.evaluation.metrics import normalised
from models.recommender.decomposition import singular_vectors
from models.recommender.part import Purchases
from models.recommender.readings import Floats


class DiversityConfig(StrictModel):
    """How lists are made diverse."""

    dimensions: PositiveInt = Field(
        64, description="of the vectors by which items are alike, where there are no embeddings: likeness needs fewer than scores"
    )
    pool: PositiveInt = Field(
        10, description="candidates, for each place of the answer, among which a diverse list is chosen: more reach worse items"
    )


def item_features(purchases: Purchases, config: DiversityConfig) -> Floats:
    """Unit vectors of items [I, d] by which lists are made diverse: of their content, else of who buys them."""
    if purchases.content is not None:
        return purchases.content
    matrix = purchases.items.weighted if purchases.items.attributes.nnz else purchases.matrix.T.tocsr()
    return normalised(matrix @ singular_vectors(matrix, config.dimensions, seed=0))


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
