"""Prototypical networks: a body trained so that the mean of a class's examples is nearest to its other products.

Snell et al. 2017: squared Euclidean distance, and episodes as in use. Shapes: n examples, m queries, W ways, F width of vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.arrays import State
from models.fewshot.episodes import Floats, Photos
from models.fewshot.learner import Adapted, Support
from models.fewshot.meta import Drill, MetaConfig
from models.fewshot.networks import balanced_loss, class_means, nearest_mean, prepared
from models.fewshot.trained import TrainedLearner


class ProtoNetLearner(TrainedLearner[MetaConfig]):
    """What ProtoNet on features and on photos have in common; they differ in the body."""

    weights: nn.Module

    @classmethod
    def fresh(cls, body: nn.Module, width: int, config: MetaConfig) -> nn.Module:
        """The body alone."""
        return body

    def loss(self, drill: Drill) -> Tensor:
        """Cross-entropy over the distances of queries to the class means."""
        vectors = self.weights(torch.cat([drill.support, drill.query]))
        means = class_means(vectors[: len(drill.support)], drill.support_codes, drill.ways)
        return balanced_loss(F.linear(vectors[len(drill.support) :], *nearest_mean(means)), drill.query_codes)

    def adapt(self, support: Support) -> "NearestMeans":
        """Class means of the vectors."""
        with torch.inference_mode():
            vectors = self.weights(prepared(support.inputs))
            means = class_means(vectors, torch.from_numpy(support.codes), support.ways)
        return NearestMeans(self.weights, means.numpy(), self.temperature(support))

    def left_out(self, support: Support) -> Floats:
        """See `Learner.left_out`: leave-one-out, whatever the number of examples."""
        codes, rows = torch.from_numpy(support.codes), torch.arange(len(support.codes))
        with torch.inference_mode():
            vectors = self.weights(prepared(support.inputs))
            means, counts = class_means(vectors, codes, support.ways), torch.bincount(codes, minlength=support.ways)[codes]
            without = (means[codes] * counts[:, None] - vectors) / (counts[:, None] - 1).clamp(min=1)
            scores = F.linear(vectors, *nearest_mean(means))
            scores[rows, codes] = 2 * (without * vectors).sum(1) - without.square().sum(1)
            scores[counts < 2] = torch.nan
        temperature = self.temperatures.at((len(rows) - 1) / support.ways)
        return np.asarray(scores.numpy() / np.float32(temperature), dtype=np.float32)

    def adapted(self, state: Mapping[str, NDArray[Any]]) -> "NearestMeans":
        """See `Learner.adapted`."""
        return NearestMeans(self.weights, state["means"], float(state["temperature"][0]))


@dataclass(frozen=True)
class NearestMeans(Adapted):
    """Squared distances to class means, up to a term that all classes share.

    Attributes:
        body: Makes vectors.
        means: float32 [W, F].
        temperature: What the scores are divided by.
    """

    body: nn.Module
    means: Floats
    temperature: float

    def logits(self, inputs: Floats | Photos) -> Floats:
        """See `Adapted.logits`."""
        with torch.inference_mode():
            found = F.linear(self.body(prepared(inputs)), *nearest_mean(torch.from_numpy(self.means)))
        return np.asarray(found.numpy() / np.float32(self.temperature), dtype=np.float32)

    def state(self) -> State:
        """See `Adapted.state`."""
        return {"means": self.means, "temperature": np.array([self.temperature], dtype=np.float32)}
