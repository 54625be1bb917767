"""Category on three levels: one hierarchical softmax over the category paths that exist.

A parent's probability is the sum of its children's, so levels never contradict each other. The article type begins at what a
linear model says about the title's n-grams and, without a title, at what the photo tower's own head says (`heads.type_evidence`).

Shapes: B listings, V views, C width, P category paths, N article types.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.listing import CATEGORY_LEVELS
from configs.schema import EvaluationConfig
from models.product.heads.head import Codec, Decoded, HeadConfig, HeadContext, ListingHead
from models.product.heads.type_evidence import EvidenceWeights, TypeEvidenceHead
from models.product.inputs import Inputs
from models.product.losses import mean
from models.product.parts import SEGMENTS, WHOLE

TOP = 5
"""Labels of each level that an answer names."""


class CategoryConfig(HeadConfig):
    """Values of the category head."""

    article_type: float = Field(1.0, ge=0.0, description="weight of the negative log likelihood of the article type")
    sub_category: float = Field(0.2, ge=0.0, description="weight of the negative log likelihood of the sub-category")
    master_category: float = Field(0.2, ge=0.0, description="weight of the negative log likelihood of the master category")

    @classmethod
    def head(cls) -> type["CategoryHead"]:
        """What these values are for."""
        return CategoryHead


@dataclass(frozen=True)
class CategoryOutput:
    """path_logits (B, V, P)."""

    path_logits: Tensor


@dataclass(frozen=True)
class CategoryAnswers:
    """Calibrated probabilities [n, values] of each level without the missing value, and the names of the values."""

    probabilities: tuple[NDArray[np.float32], ...]
    labels: tuple[tuple[str, ...], ...]

    def at(self, row: int) -> dict[str, list[tuple[str, float]]]:
        """The `TOP` most probable values of each level and their probabilities, best first."""
        found = {}
        for level, probabilities, labels in zip(CATEGORY_LEVELS, self.probabilities, self.labels, strict=True):
            best = np.argsort(-probabilities[row], kind="stable")[:TOP]
            found[level] = [(labels[k], float(probabilities[row, k])) for k in best]
        return found


class CategoryHead(ListingHead[CategoryOutput, CategoryAnswers]):
    """See the module; it never sees the listing's categories."""

    name = "category"
    visible = (*SEGMENTS, "price")
    path: Tensor
    temperature: Tensor

    def __init__(self, values: CategoryConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.values, self.level_sizes = values, context.sizes.levels
        self.levels = nn.ModuleList(nn.Linear(context.width, n) for n in context.sizes.levels)
        self.evidence_weights = EvidenceWeights()
        self.register_buffer("path", context.paths, persistent=False)
        self.register_buffer("temperature", torch.tensor(1.0))  # divides the path logits (Guo et al. 2017)

    def weights(self) -> Mapping[str, float]:
        """Of each level."""
        return {level: getattr(self.values, level) for level in CATEGORY_LEVELS}

    def forward(self, decoded: Decoded) -> CategoryOutput:
        """Logits of the paths: the sum over levels of those of their values."""
        state = decoded.states[self.name]
        logits = [level(state).float() for level in self.levels]
        logits[-1] = logits[-1] + self.evidence_weights(decoded.of(TypeEvidenceHead))
        return CategoryOutput(torch.stack([level[..., self.path[:, i]] for i, level in enumerate(logits)]).sum(0))

    def probabilities(self, path_logits: Tensor) -> list[Tensor]:
        """Of the values of each level; see `level_probabilities`."""
        return level_probabilities(path_logits, self.path, self.level_sizes)

    def view_losses(
        self, output: CategoryOutput, view: int, targets: Inputs, rows: Tensor, smoothing: float
    ) -> dict[str, Tensor]:
        """Negative log likelihood of each level's value; `smoothing` is spread over all paths."""
        logits = output.path_logits[:, view]
        total = logits.logsumexp(dim=-1)
        spread = total - logits.mean(dim=-1)  # cross-entropy against the uniform distribution over paths
        terms = {}
        for i, name in enumerate(CATEGORY_LEVELS):
            label = targets.categories[:, i, None]
            match = (self.path[None, :, i] == label) & (label != 0)  # (B, P): leaves under the true value
            known = match.any(dim=1)
            # A row without a known value keeps all its leaves: logsumexp over none would poison the gradient.
            likelihood = total - logits.masked_fill(~match & known[:, None], -torch.inf).logsumexp(dim=-1)
            terms[name] = mean((1 - smoothing) * likelihood + smoothing * spread, known & rows)
        return terms

    def answers(self, output: CategoryOutput) -> dict[str, Tensor]:
        """path_logits (B, P), calibrated."""
        return {"path_logits": output.path_logits[:, WHOLE] / self.temperature}

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> CategoryAnswers:
        """Probabilities of known values."""
        logits, paths = torch.from_numpy(answers["path_logits"]), torch.from_numpy(codec.paths)
        levels = level_probabilities(logits, paths, [len(level) for level in codec.levels])
        known = [p[:, 1:] / p[:, 1:].sum(dim=1, keepdim=True).clamp(min=1e-9) for p in levels]
        return CategoryAnswers(tuple(p.numpy() for p in known), tuple(codec.labels().values()))

    def calibration_rows(self, decoded: Decoded) -> dict[str, Tensor]:
        """Logits of the whole listing, and article types."""
        return {"logits": decoded.of(CategoryHead).path_logits[:, WHOLE], "labels": decoded.inputs.categories[:, -1]}

    def calibrate(self, rows: Mapping[str, Tensor], config: EvaluationConfig) -> None:
        """Temperature scaling."""
        self.temperature.fill_(fit_temperature(rows["logits"], rows["labels"], self.path[:, -1]))

    def calibrated(self) -> dict[str, float]:
        """The temperature."""
        return {"temperature": self.temperature.item()}


def level_probabilities(path_logits: Tensor, paths: Tensor, levels: Sequence[int]) -> list[Tensor]:
    """Probability (B, n) of each value of each level; index 0 is the missing value, which no head answers.

    `paths` (P, 3) are the category indices of each leaf of the hierarchical softmax, `levels` how many values each level has.
    """
    probabilities = path_logits.softmax(-1)
    return [probabilities @ F.one_hot(paths[:, i], n).to(probabilities.dtype) for i, n in enumerate(levels)]


def fit_temperature(logits: Tensor, labels: Tensor, path_labels: Tensor) -> float:
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
