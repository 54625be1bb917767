"""What is fitted on validation rows once the weights are fixed: probabilities that mean what they say, honest intervals."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.evaluation.metrics import graded_ndcg, match_ranks, nearest, recall_at_k
from models.product.bundle import Calibration
from models.product.inputs import Inputs
from models.product.model import PHOTO, TITLE, WHOLE, ProductModel, cosine_shares

COVERAGE = 0.9
POOL = 4000  # photos among which a title is to find its own
TYPE_SHARES = tuple(i / 20 for i in range(20))
MATCH_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
RECALL_KEPT = 0.8
"""Of recall@10 of the very photo, what types may not take: they pull towards other photos of the same type."""

Floats = NDArray[np.float32]


@torch.inference_mode()
def calibrate(model: ProductModel, batches: Iterable[Inputs]) -> Calibration:
    """Fit on rows that have the target; what no row has keeps its default. The model's shares of the embedding are set."""
    logits, labels, scores, pairs = [], [], [], []
    for inputs in batches:
        heads = model.read(model.remember(inputs), model.views[None], inputs)
        logits.append(heads.path_logits[:, WHOLE])
        labels.append(inputs.categories[:, -1])
        score = (inputs.price - heads.price_location[:, WHOLE]).abs() / heads.price_scale[:, WHOLE]
        scores.append(score[~score.isnan()].numpy())
        both = (inputs.title != 0).any(dim=1) & inputs.has_image
        parts = [part[both][:, view] for view in (TITLE, PHOTO) for part in (heads.kind, heads.identity, heads.match)]
        pairs.append([*parts, labels[-1][both]])
    *vectors, types = (torch.cat(part)[:POOL].numpy() for part in zip(*pairs, strict=True))
    model.type_share, model.match_share = embedding_shares(vectors[:3], vectors[3:], types)
    return Calibration(
        temperature=temperature(torch.cat(logits), torch.cat(labels), model.path[:, -1]),
        type_share=model.type_share,
        match_share=model.match_share,
        price_quantile=conformal_quantile(np.concatenate(scores), COVERAGE),
    )


def embedding_shares(titles: Sequence[Floats], photos: Sequence[Floats], labels: NDArray[np.int64]) -> tuple[float, float]:
    """`type_share` and `match_share` with which titles (n) find photos (n) best; the defaults for fewer than 20 rows.

    The second is the one with the best recall@10 of the very photo; the first the one with the best nDCG@10 of its type, among
    those that keep `RECALL_KEPT` of the best recall.

    Args:
        titles: Unit vectors (n, ·) of the kind, the identity and the match of each title; see `models.product.model.Heads`.
        photos: The same of its photo.
        labels: Its article type.
    """
    if len(labels) < 20:
        return Calibration().type_share, Calibration().match_share
    ideal = (np.arange(10) < np.bincount(labels)[labels][:, None]).astype(float)

    def blended(parts: Sequence[Floats], kind: float, match: float) -> Floats:
        shares = cosine_shares(kind, match)
        return np.concatenate([share**0.5 * part for share, part in zip(shares, parts, strict=True)], axis=1)

    def recall(kind: float, match: float) -> float:
        return float(np.mean(recall_at_k(match_ranks(blended(titles, kind, match), blended(photos, kind, match)), 10)))

    def ndcg(kind: float, match: float) -> float:
        found = nearest(blended(titles, kind, match), blended(photos, kind, match), 10)
        return float(np.mean(graded_ndcg((labels[found] == labels[:, None]).astype(float), ideal)))

    match = max(MATCH_SHARES, key=lambda share: recall(0.0, share))
    recalls = {share: recall(share, match) for share in TYPE_SHARES}
    kept = [share for share, found in recalls.items() if found >= RECALL_KEPT * max(recalls.values())]
    return max(kept, key=lambda share: ndcg(share, match)), match


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
