"""What is fitted on validation rows once the weights are fixed: probabilities that mean what they say, honest intervals."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.product.bundle import Calibration
from models.product.inputs import Inputs
from models.product.model import ProductModel

COVERAGE = 0.9


@torch.inference_mode()
def calibrate(model: ProductModel, batches: Iterable[Inputs]) -> Calibration:
    """Temperature of the article type and quantile of the price, over rows that have the target; 1 where none has."""
    logits, labels, scores = [], [], []
    for inputs in batches:
        outputs = model(inputs)
        logits.append(outputs.path_logits)
        labels.append(inputs.categories[:, -1])
        score = (inputs.price - outputs.price_location).abs() / outputs.price_scale
        scores.append(score[~score.isnan()].numpy())
    return Calibration(
        temperature=temperature(torch.cat(logits), torch.cat(labels), model.path[:, -1]),
        price_quantile=conformal_quantile(np.concatenate(scores), COVERAGE),
    )


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
