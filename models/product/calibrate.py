"""What is fitted on validation rows once the weights are fixed: probabilities that mean what they say, honest intervals."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.evaluation.metrics import graded_ndcg, match_ranks, nearest, recall_at_k
from models.product.bundle import Calibration
from models.product.inputs import Inputs
from models.product.model import PHOTO, TITLE, WHOLE, ProductModel

COVERAGE = 0.9
POOL = 4000  # photos among which a title is to find its own
SHARES = tuple(i / 20 for i in range(20))
RECALL_KEPT = 0.9
"""Of recall@10 of the very photo, what types may not take: they pull towards other photos of the same type."""

Floats = NDArray[np.float32]


@torch.inference_mode()
def calibrate(model: ProductModel, batches: Iterable[Inputs]) -> Calibration:
    """Fit on rows that have the target; what no row has keeps its default. The model's `type_share` is set.

    The share of the embedding that tells article types is the one with which titles find photos of their type best (nDCG@10),
    among those that keep `RECALL_KEPT` of the best recall@10 of the very photo.
    """
    logits, labels, scores, pairs = [], [], [], []
    for inputs in batches:
        heads = model.read(model.remember(inputs), model.views[None], inputs)
        logits.append(heads.path_logits[:, WHOLE])
        labels.append(inputs.categories[:, -1])
        score = (inputs.price - heads.price_location[:, WHOLE]).abs() / heads.price_scale[:, WHOLE]
        scores.append(score[~score.isnan()].numpy())
        both = (inputs.title != 0).any(dim=1) & inputs.has_image
        told = heads.type_logits[both].log_softmax(-1).div(2).exp()
        pairs.append([part[:, view] for part in (told, heads.identity[both]) for view in (TITLE, PHOTO)] + [labels[-1][both]])
    model.type_share = type_share(*(torch.cat(part)[:POOL].numpy() for part in zip(*pairs, strict=True)))
    return Calibration(
        temperature=temperature(torch.cat(logits), torch.cat(labels), model.path[:, -1]),
        type_share=model.type_share,
        price_quantile=conformal_quantile(np.concatenate(scores), COVERAGE),
    )


def type_share(title_types: Floats, photo_types: Floats, titles: Floats, photos: Floats, labels: NDArray[np.int64]) -> float:
    """The share, of `SHARES`, with which titles (n) find photos (n) best, as `calibrate` says; 0.5 for fewer than 20 rows."""
    if len(labels) < 20:
        return 0.5
    relevant = np.bincount(labels)[labels]
    ideal = (np.arange(10) < relevant[:, None]).astype(float)

    def found(share: float) -> tuple[float, float]:
        query, gallery = (
            np.concatenate([share**0.5 * kind, (1 - share) ** 0.5 * own], axis=1)
            for kind, own in ((title_types, titles), (photo_types, photos))
        )
        gains = (labels[nearest(query, gallery, 10)] == labels[:, None]).astype(float)
        return float(np.mean(recall_at_k(match_ranks(query, gallery), 10))), float(np.mean(graded_ndcg(gains, ideal)))

    line = {share: found(share) for share in SHARES}
    least = RECALL_KEPT * max(recall for recall, _ in line.values())
    return max((share for share, (recall, _) in line.items() if recall >= least), key=lambda share: line[share][1])


def temperature(logits: Tensor, labels: Tensor, path_labels: Tensor) -> float:
    """The T that minimises the negative log likelihood of the labels (n,) under path logits (n, P) / T (Guo et al. 2017)."""
    match = path_labels == labels[:, None]
    known = match.any(dim=1) & (labels != 0)
    logits, match = logits[known].double(), match[known]
    if not len(logits):
        return 1.0

    def loss(log_t: float) -> float:
        scaled = logits / math.exp(log_t)
        likelihood = scaled.masked_fill(~match, -torch.inf).logsumexp(-1) - scaled.logsumexp(-1)
        return -float(likelihood.mean())

    return float(math.exp(minimize_scalar(loss, bounds=(math.log(0.1), math.log(10.0)), method="bounded").x))


def conformal_quantile(scores: NDArray[np.float32], coverage: float) -> float:
    """The ⌈(n + 1) · coverage⌉-th smallest score: an interval that wide covers a new row with that probability."""
    if not len(scores):
        return 1.0
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return max(float(np.sort(scores)[rank - 1]), 1e-6)
