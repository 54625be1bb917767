"""Graph attention over users, items and attributes (GATv2, Brody et al. 2022); the network is `attention.py`.

Two scores: the cosine of user and item, and the attention paths. The weights with which u attends to item j, j to user v, and v
to item i multiply along the path; their sum over all paths scores i without squeezing it into a vector. Any history is read
without the graph: the user's side of every layer is repeated over it.

Shapes: B users, T places of a history, I items, C width, H heads, L layers.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional as F

from configs.schema import StrictModel
from models.arrays import NOT_STORED
from models.evaluation.metrics import normalised
from models.recommender.answers import ReasonKind
from models.recommender.attention import SLOPE, AttentionConfig, GraphAttention, GraphStates, propagate, train
from models.recommender.decomposition import damped, singular_vectors
from models.recommender.graph import Graph
from models.recommender.interactions import Histories
from models.recommender.neighbours import co_purchases
from models.recommender.part import Choice, Part, Purchases, Settings
from models.recommender.readings import DenseReading, Floats, Reading, SparseReading, Vectors, scaled

USERS_A_BATCH = 256
"""Histories that the layers read at once."""


@dataclass(frozen=True)
class AttentionPaths(Part[AttentionConfig]):
    """The trained layers, ready for any history.

    Attributes:
        items, sources, own, attention, user: See `GraphStates`.
        paths: float32 [I, I], weights of the paths from an item of the history over its users to another item.
        item_power: Paths to an item of n buyers count n to the -p.
        share: How much the cosine counts, where the paths count 1; both over their spread.
        network: What was trained; None in a part that was refitted or restored, which needs it no more.
    """

    items: Floats
    sources: Floats
    own: Floats
    attention: Floats
    user: Floats
    paths: csr_matrix
    item_power: float
    share: float
    network: GraphAttention | None = field(default=None, metadata=NOT_STORED)

    label: ClassVar[str] = "Graph attention"
    reason: ClassVar[ReasonKind] = "attention_path"
    sentence: ClassVar[str] = "Reached from {title} through the users who bought it."
    order: ClassVar[int] = 70
    config: ClassVar[type[StrictModel]] = AttentionConfig
    section: ClassVar[str] = "attention"

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[AttentionConfig]) -> Self:
        """The layers' epoch, then the damping of the paths, then the share of the cosine are chosen by held-out purchases."""
        config, x, items, held = settings.config, purchases.matrix, purchases.items, choice.held
        graph = Graph.of(x, items.attributes)
        near = co_purchases(x, config.hard_user_power, config.hard_neighbours)
        start = starts(x, config.width, settings.trainer.seed)
        network = GraphAttention(config, start, items.attributes.shape[1], purchases.content)
        rows, bought = held.relevant.nonzero()
        pairs = held.users[rows], bought
        train(network, purchases.histories, graph, near, pairs, settings.trainer, settings.workdir, settings.loggers)
        states = propagate(network, graph)
        tried = (cls.of(states, items.buyers, power, 0.0, settings.neighbours) for power in config.item_powers)
        part = replace(choice.best(tried), network=network)
        return choice.best(replace(part, share=share) for share in (0.0, *config.cosine_shares))

    def refit(self, purchases: Purchases, settings: Settings[AttentionConfig]) -> Self:
        """The same layers over the larger graph."""
        assert self.network is not None, "only what was fitted here is refitted"
        states = propagate(self.network, Graph.of(purchases.matrix, purchases.items.attributes))
        return self.of(states, purchases.items.buyers, self.item_power, self.share, settings.neighbours)

    @classmethod
    def of(cls, states: GraphStates, buyers: Floats, item_power: float, share: float, neighbours: int) -> Self:
        """With the paths put together, `neighbours` of each item."""
        paths = states.paths(buyers, item_power, neighbours)
        return cls(states.items, states.sources, states.own, states.attention, states.user, paths, item_power, share)

    def encode(self, histories: Histories) -> tuple[Floats, csr_matrix]:
        """Vectors of users [B, C], and how much each attends to each of its items [B, I] in the last layer."""
        vectors = np.zeros((len(histories), len(self.user)), dtype=np.float32)
        attended = np.zeros(len(histories.items), dtype=np.float32)
        order = np.argsort(histories.lengths, kind="stable")  # rows of like length are padded together
        for start in range(0, len(order), USERS_A_BATCH):
            rows = order[start : start + USERS_A_BATCH]
            part = histories.select(rows)
            vectors[rows], weights = self._encode(part)
            attended[np.repeat(histories.offsets[rows] - part.offsets[:-1], part.lengths) + np.arange(len(part.items))] = weights
        shape = len(histories), len(self.items)
        return vectors, csr_matrix((attended, histories.items, histories.offsets), shape=shape, copy=True)

    @torch.inference_mode()
    def _encode(self, histories: Histories) -> tuple[Floats, Floats]:
        codes, there = histories.padded(max(1, int(histories.lengths.max(initial=0))))
        mask = torch.from_numpy(there)
        state = self._user.expand(len(codes), -1)
        alpha = torch.zeros(0)
        for depth in range(len(self.sources)):
            sources = self._sources[depth][torch.from_numpy(codes)]  # (B, T, C)
            mixed = F.leaky_relu(sources + (state @ self._own[depth].T)[:, None], SLOPE)
            logits = (self._by_head(mixed) * self._attention[depth]).sum(-1)  # (B, T, H)
            alpha = logits.masked_fill(~mask[:, :, None], -torch.inf).softmax(1).nan_to_num()
            state = state + (self._by_head(sources) * alpha[..., None]).sum(1).flatten(1)
        return F.normalize(state, dim=-1).numpy(), alpha.mean(-1)[mask].numpy()

    def _by_head(self, x: Tensor) -> Tensor:
        """X (…, C) as (…, H, C / H)."""
        return x.view(*x.shape[:-1], *self.attention.shape[1:])

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return PathReading(*self.halves(histories), self.share)

    def halves(self, histories: Histories) -> tuple[SparseReading, DenseReading]:
        """Scores by paths and by cosine; zeros without a history, where popularity speaks alone."""
        vectors, attended = self.encode(histories)
        query = np.concatenate([vectors, np.ones((len(vectors), 1), dtype=np.float32)], axis=1)
        query[histories.lengths == 0] = 0.0
        return SparseReading((attended @ self.paths).tocsr()), DenseReading(query, self._vectors)

    @property
    def item_weights(self) -> csr_matrix | None:
        """See `Part`."""
        return self.paths

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.items)

    @cached_property
    def _sources(self) -> Tensor:
        return torch.from_numpy(self.sources)

    @cached_property
    def _own(self) -> Tensor:
        return torch.from_numpy(self.own)

    @cached_property
    def _attention(self) -> Tensor:
        return torch.from_numpy(self.attention)

    @cached_property
    def _user(self) -> Tensor:
        return torch.from_numpy(self.user)


@dataclass(frozen=True)
class PathReading:
    """Paths plus `share` times the cosine, each over its spread."""

    paths: SparseReading
    cosine: DenseReading
    share: float

    def all(self) -> Floats:
        """See `Reading`."""
        return self._sum(self.paths.all(), self.cosine.all() if self.share else None)

    def at(self, items: NDArray[Any]) -> Floats:
        """See `Reading`."""
        return self._sum(self.paths.at(items), self.cosine.at(items) if self.share else None)

    def spread(self) -> Floats:
        """That of two scores that have nothing to do with each other."""
        return np.full(self.paths.rows.shape[0], math.sqrt(1.0 + self.share**2), dtype=np.float32)

    def first(self) -> "PathReading":
        """See `Reading`."""
        return PathReading(self.paths.first(), self.cosine.first(), self.share)

    @property
    def sparse(self) -> tuple[SparseReading, ...]:
        """See `Reading`."""
        return (self.paths,)

    @property
    def dense(self) -> tuple[tuple[float, DenseReading], ...]:
        """See `Reading`."""
        return ((self.share / float(np.hypot(1.0, self.share)), self.cosine),) if self.share else ()

    def _sum(self, paths: Floats, cosine: Floats | None) -> Floats:
        found = scaled(paths, self.paths.spread())
        if cosine is not None:
            found = found + np.float32(self.share) * scaled(cosine, self.cosine.spread())
        return found


def starts(x: csr_matrix, width: int, seed: int) -> Floats:
    """Item vectors [I, C] to begin with: singular vectors, of unit length; zeros beyond the rank."""
    vectors = singular_vectors(damped(x, 0.5, 0.5), width, seed)
    found = np.zeros((x.shape[1], width), dtype=np.float32)
    found[:, : vectors.shape[1]] = normalised(vectors)
    return found


PART = AttentionPaths
