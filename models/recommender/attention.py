"""The network of graph attention: users, items and attributes learn whom of their neighbours to attend to.

Notable features:
- four layers of GATv2 (Brody et al. 2022; PyTorch Geometric), several heads, residual: users attend to their items, items to
  their users and attributes
- a user starts as one learned vector that all share, so a user is what the history makes of it: `parts.graph_attention` repeats
  the user's side of every layer for any history, without the graph
- link prediction by a softmax over sampled items, with hard negatives drawn from what is near the user's items: the cosine of
  user and item over a temperature, plus a bias of the item
- item vectors first learn the same task without the graph, from the mean of the history, which costs little
- two scores: the cosine, and the attention paths. The weights with which u attends to item j, j to user v, and v to item i
  multiply along the path; their sum over all paths scores i without squeezing it into a vector

Shapes: U users, I items, A attributes, B pairs, N negatives, S nodes a layer reads, e edges, C width, L layers, T history.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.sparse import csr_matrix, diags
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from configs.schema import PositiveFloat, PositiveInt, StrictModel, TrainerConfig
from models.recommender.graph import Edges, Graph, Layer, drawn, leading_to
from models.recommender.interactions import Histories
from models.recommender.neighbours import chunks, product
from models.recommender.readings import Floats
from models.training.batches import mix, moved, part_of, training_loader, validation_loader
from models.training.distributed import gather_parts
from models.training.task import Task

EDGES_A_CHUNK = 250_000
"""Edges over which the whole graph is attended at once."""

SLOPE = 0.2
"""Of the leaky rectifier before attention."""


class AttentionConfig(StrictModel):
    """Graph attention over users, items and attributes (GATv2, Brody et al. 2022)."""

    width: int = Field(64, ge=8, description="channels of every node")
    layers: PositiveInt = Field(4, description="attention layers")
    heads: PositiveInt = Field(4, description="attention heads; must divide width")
    fanouts: tuple[PositiveInt, ...] = Field(
        (10, 6, 4, 4), description="neighbours drawn of each kind in training, from the answer's layer to the first"
    )
    negatives: PositiveInt = Field(4096, description="items drawn as wrong answers for all pairs of a step")
    hard_negatives: int = Field(4, ge=0, description="further wrong answers of each pair: items near what its user bought")
    hard_neighbours: PositiveInt = Field(
        50, description="nearest items of each item from which hard negatives are drawn: further ones are as easy as any"
    )
    hard_user_power: float = Field(0.4, description="nearness for hard negatives: a user with n items counts n to the -2p")
    temperature: PositiveFloat = Field(0.15, description="divides the cosine of the sampled softmax")
    lessons: int = Field(3, ge=0, description="passes in which item vectors learn the task by themselves first")
    lesson_rate: PositiveFloat = Field(1e-2, description="learning rate of these passes")
    lesson_pairs: PositiveInt = Field(4096, description="purchases a step of these passes")
    lesson_items: PositiveInt = Field(
        40, description="items of a history that these passes read, drawn where there are more, so that a step's cost is bounded"
    )
    item_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="paths to an item of n buyers count n to the -p")
    cosine_shares: tuple[float, ...] = Field((0.1, 0.25, 0.5, 1.0), description="how much the cosine counts beside the paths")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        if len(self.fanouts) != self.layers:
            raise ValueError(f"fanouts has {len(self.fanouts)} numbers; one for each of the {self.layers} layers is needed")
        return self


class GraphAttention(nn.Module):
    """See the module's feature list."""

    def __init__(self, config: AttentionConfig, start: Floats, attributes: int, content: Floats | None) -> None:
        """Item vectors start as `start` [I, C]; `content` [I, d] is added through a learned projection."""
        super().__init__()
        from torch_geometric.nn import GATv2Conv  # 12 seconds to import

        width = config.width
        self.config = config
        self.items = nn.Embedding(len(start), width, _weight=torch.from_numpy(start))
        self.attributes = nn.Embedding(max(1, attributes), width)
        self.user = nn.Parameter(torch.zeros(width))
        self.bias = nn.Embedding(len(start), 1)
        self.register_buffer("content", None if content is None else torch.from_numpy(content), persistent=False)
        self.project = None if content is None else nn.Linear(content.shape[1], width, bias=False)

        def attend() -> nn.Module:
            made = GATv2Conv(
                (width, width), width // config.heads, config.heads, add_self_loops=False, bias=False, negative_slope=SLOPE
            )
            for linear in (made.lin_l, made.lin_r):
                nn.init.eye_(linear.weight)  # the first answer is the mean of the neighbours
            nn.init.normal_(made.att, std=0.05)
            return cast(nn.Module, made)

        self.to_users = nn.ModuleList(attend() for _ in range(config.layers))
        self.to_items = nn.ModuleList(attend() for _ in range(config.layers))
        self.from_attributes = nn.ModuleList(attend() for _ in range(config.layers))
        nn.init.zeros_(self.bias.weight)
        nn.init.normal_(self.attributes.weight, std=0.02)
        if self.project is not None:
            nn.init.zeros_(self.project.weight)

    def starts(self, items: Tensor) -> Tensor:
        """Vectors (n, C) of items before the first layer."""
        found: Tensor = self.items(items)
        if self.project is not None:
            found = found + self.project(cast(Tensor, self.content)[items])
        return found

    def forward(self, layers: Sequence[Layer]) -> tuple[Tensor, Tensor]:
        """Unit vectors of the users and the items that the last layer leads to."""
        users = self.user.expand(len(layers[0].users), -1)
        items = self.starts(layers[0].items)
        for depth, layer in enumerate(layers):
            users, items = self.layer(depth, layer, users, items)
        return F.normalize(users, dim=-1), F.normalize(items, dim=-1)

    def layer(self, depth: int, layer: Layer, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """States after one layer of the nodes that it leads to."""
        to_users, to_items = users[: layer.to_users], items[: layer.to_items]
        from_items = self.to_users[depth]((items, to_users), layer.user_edges)
        from_users = self.to_items[depth]((users, to_items), layer.item_edges)
        from_attributes = self.from_attributes[depth]((self.attributes.weight, to_items), layer.attribute_edges)
        return to_users + from_items, to_items + from_users + from_attributes


@dataclass(frozen=True)
class PairBatch:
    """A training step: what users bought, among which items they are to find it.

    Attributes:
        layers: Drawn neighbourhood of the users and items; none where only item vectors learn.
        history: Item codes (B, T) of each pair's user without the item itself, and which are there; for item vectors.
        there: See `history`.
        user: Place of the pair's user in the last layer (B,).
        item: Place of the pair's item in `candidates` (B,).
        candidates: Distinct item codes (n,), in the order of the last layer.
        shared: How many of them, from the first, are negatives of every pair.
        hard: Places of further negatives of each pair (B, h).
        divided: The layers lead to this rank's part of the candidates alone.
    """

    layers: tuple[Layer, ...]
    history: Tensor
    there: Tensor
    user: Tensor
    item: Tensor
    candidates: Tensor
    shared: int
    hard: Tensor
    divided: bool = False

    def __len__(self) -> int:
        return len(self.user)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The batch on another device."""
        return moved(self, device, non_blocking)


class Pairs(Dataset[PairBatch]):
    """Every purchase as a user, an item, and what surrounds them. `near` [I, I] gives hard negatives."""

    def __init__(
        self,
        histories: Histories,
        graph: Graph,
        near: csr_matrix,
        config: AttentionConfig,
        pairs: tuple[NDArray[Any], NDArray[Any]],
        surrounded: bool,
        seed: int,
    ) -> None:
        self.histories, self.graph, self.near, self.config = histories, graph, near, config
        self.users, self.items = (np.asarray(part, dtype=np.int64) for part in pairs)
        self.surrounded, self.seed = surrounded, seed
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        self._bought = np.sort(owners * graph.items + histories.items)

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, key: tuple[int, int]) -> PairBatch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> PairBatch:
        """The batch of (epoch, index) keys; an epoch of -1 draws the same in every run.

        What surrounds the whole of a batch is drawn. A rank computes its users and an equal part of the candidates.
        """
        part = part_of(keys)
        epoch, chosen = part.whole[0][0], np.array([index for _, index in part.whole])
        rng = np.random.default_rng(mix(self.seed, epoch + 1, int(chosen[0])))
        users, items = self.users[chosen], self.items[chosen]
        shared = np.unique(rng.integers(0, self.graph.items, self.config.negatives))
        hard = self._hard(users, items, rng)
        place = np.full(self.graph.items, -1, dtype=np.int64)
        place[shared] = np.arange(len(shared))
        rest = np.unique(np.concatenate([items, hard.ravel()]))
        rest = rest[place[rest] < 0]
        place[rest] = len(shared) + np.arange(len(rest))
        candidates = np.concatenate([shared, rest])
        distinct, user = np.unique(users, return_inverse=True) if self.surrounded else (users, np.arange(len(users)))
        layers: list[Layer] = []
        if self.surrounded:
            layers = drawn(self.graph, distinct, candidates, np.stack([user, place[items]]), self.config.fanouts, rng)
        history, there = self._history(users, items, rng)
        own, user = part.places, user[part.places]
        if divided := self.surrounded and part.ranks > 1:
            kept, user = np.unique(user, return_inverse=True)
            layers = leading_to(layers, kept, np.array_split(np.arange(len(candidates)), part.ranks)[part.rank])
        return PairBatch(
            layers=tuple(layers),
            history=torch.from_numpy(history[own]),
            there=torch.from_numpy(there[own]),
            user=torch.from_numpy(user if self.surrounded else np.arange(len(own))),
            item=torch.from_numpy(place[items[own]]),
            candidates=torch.from_numpy(candidates),
            shared=len(shared),
            hard=torch.from_numpy(place[hard[own]]),
            divided=divided,
        )

    def _history(self, users: NDArray[Any], items: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        """Items of each user, at most `lesson_items`, drawn where there are more; the pair's own is not there."""
        if self.surrounded:
            return np.zeros((len(users), 0), dtype=np.int64), np.zeros((len(users), 0), dtype=bool)
        offsets, lengths = self.histories.offsets[users][:, None], self.histories.lengths[users][:, None]
        places = np.arange(min(self.config.lesson_items, int(lengths.max(initial=1))))
        picked = np.where(lengths <= len(places), places, (rng.random((len(users), len(places))) * lengths).astype(np.int64))
        there = picked < lengths
        codes = self.histories.items[np.where(there, offsets + picked, 0)].astype(np.int64)
        return codes, there & (codes != items[:, None])

    def _hard(self, users: NDArray[Any], items: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
        """Items (B, h) near some item of each user; the pair's own item, which is masked, in place of what the user bought."""
        offsets, lengths = self.histories.offsets[users][:, None], self.histories.lengths[users][:, None]
        shape = (len(users), self.config.hard_negatives)
        places = offsets + (rng.random(shape) * np.maximum(lengths, 1)).astype(np.int64)
        from_ = self.histories.items[np.minimum(places, len(self.histories.items) - 1)]
        first, count = self.near.indptr[from_], np.diff(self.near.indptr)[from_]
        cells = first + (rng.random(shape) * np.maximum(count, 1)).astype(np.int64)
        found = self.near.indices[np.minimum(cells, max(0, self.near.nnz - 1))] if self.near.nnz else from_
        key = users[:, None] * self.graph.items + found
        at = np.minimum(np.searchsorted(self._bought, key), len(self._bought) - 1)
        bad = (count == 0) | (self._bought[at] == key)
        return np.where(bad, items[:, None], found).astype(np.int64)


class LinkTask(Task):
    """A softmax of what was bought over sampled items."""

    def __init__(self, network: GraphAttention) -> None:
        super().__init__()
        self.network = network

    def training_loss(self, batch: PairBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy of the item among the shared and the hard negatives."""
        return {"loss": self._loss(batch)}

    def validation_loss(self, batch: PairBatch) -> dict[str, Tensor]:
        """The same on held-out purchases."""
        return {"loss": self._loss(batch)}

    def _loss(self, batch: PairBatch) -> Tensor:
        users, items = self._vectors(batch)
        users, scale = users[batch.user], 1.0 / self.network.config.temperature
        bias = self.network.bias(batch.candidates)[:, 0]
        right = (users * items[batch.item]).sum(-1) * scale + bias[batch.item]
        wrong = users @ items[: batch.shared].T * scale + bias[: batch.shared]
        wrong = wrong.masked_fill(batch.item[:, None] == torch.arange(batch.shared, device=wrong.device), -torch.inf)
        near = (users[:, None] * items[batch.hard]).sum(-1) * scale + bias[batch.hard]
        near = near.masked_fill(batch.hard == batch.item[:, None], -torch.inf)
        # Shared negatives stand for all items; hard ones for themselves.
        weight = math.log(len(self.network.bias.weight) / max(1, batch.shared))
        logits = torch.cat([right[:, None], wrong + weight, near], dim=1)
        return F.cross_entropy(logits.float(), torch.zeros(len(batch), dtype=torch.long, device=logits.device))

    def _vectors(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Unit vectors of users and candidates, by the graph or, without layers, by the mean of the history."""
        if batch.layers:
            users, items = self.network(batch.layers)
            return users, gather_parts(items) if batch.divided else items
        read = self.network.starts(batch.history)
        users = F.normalize((read * batch.there[:, :, None]).sum(1), dim=-1)
        return users, F.normalize(self.network.starts(batch.candidates), dim=-1)


def train(
    network: GraphAttention,
    histories: Histories,
    graph: Graph,
    near: csr_matrix,
    held: tuple[NDArray[Any], NDArray[Any]],
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> None:
    """Item vectors by themselves, then every layer; the best by what `held` (users, items) say."""
    from models.training.trainer import fit  # brings Lightning: seconds for whoever only answers

    pairs = np.repeat(np.arange(len(histories)), histories.lengths), histories.items
    config = network.config
    lessons = trainer.model_copy(
        update={"epochs": max(1, round(config.lessons)), "learning_rate": config.lesson_rate, "batch_size": config.lesson_pairs}
    )
    for name, settings, surrounded in (("vectors", lessons, False), ("layers", trainer, True)):
        if not surrounded and not config.lessons:
            continue
        made = [Pairs(histories, graph, near, config, part, surrounded, trainer.seed) for part in (pairs, held)]
        loaders = training_loader(made[0], settings), validation_loader(made[1], settings)
        fit(LinkTask(network), *loaders, settings, workdir / name, loggers)


@dataclass(frozen=True)
class GraphStates:
    """What the trained layers make of the whole graph.

    Attributes:
        items: float32 [I, C + 1], unit vectors over the temperature, and the bias.
        sources: float32 [L, I, C], of every layer what users attend to (items times the layer's source weights).
        own: float32 [L, C, C], of every layer the weights of the user's own state.
        attention: float32 [L, H, C / H], of every layer the vector that attention is the inner product with.
        user: float32 [C], the vector that every user starts as.
        item_attention: [I, U], how much each item attends to each of its users, in the last layer but one.
        user_attention: [U, I], how much each user attends to each of its items, in the layer before that.
    """

    items: Floats
    sources: Floats
    own: Floats
    attention: Floats
    user: Floats
    item_attention: csr_matrix
    user_attention: csr_matrix

    def paths(self, buyers: Floats, power: float, keep: int) -> csr_matrix:
        """Weights [I, I] of all paths item, user, item; items of n buyers are damped by n to the -power as answers."""
        degree = np.maximum(buyers, 1.0).astype(np.float32)
        from_, to = diags(degree**power) @ self.item_attention, self.user_attention @ diags(degree**-power)
        return product(from_.tocsr(), to.tocsr(), keep).astype(np.float32)


@torch.inference_mode()
def propagate(network: GraphAttention, graph: Graph) -> GraphStates:
    """The layers over the whole graph, a part of its nodes at a time."""
    network = network.eval().cpu()
    depths = network.config.layers
    users = network.user.expand(graph.users, -1).contiguous()
    items = network.starts(torch.arange(graph.items))
    sources, own, attention = [], [], []
    item_attention, user_attention = csr_matrix((graph.items, graph.users)), csr_matrix((graph.users, graph.items))
    for depth in range(depths):
        conv = cast(Any, network.to_users[depth])
        sources.append(conv.lin_l(items).numpy())
        own.append(conv.lin_r.weight.numpy().copy())
        attention.append(conv.att[0].numpy().copy())
        from_users, alpha = _attended(network.to_items[depth], users, items, graph.users_of_items)
        if depth == max(0, depths - 2):
            item_attention = alpha
        from_attributes, _ = _attended(
            network.from_attributes[depth], network.attributes.weight, items, graph.attributes_of_items
        )
        if depth < depths - 1:  # the last layer's users are read from their histories
            from_items, alpha = _attended(conv, items, users, graph.items_of_users)
            users = users + from_items
            if depth == max(0, depths - 3):
                user_attention = alpha
        items = items + from_users + from_attributes
    vectors = torch.cat([F.normalize(items, dim=-1) / network.config.temperature, network.bias.weight], dim=1)
    layers = np.stack(sources), np.stack(own), np.stack(attention)
    return GraphStates(vectors.numpy(), *layers, network.user.numpy().copy(), item_attention, user_attention)


def _attended(conv: nn.Module, sources: Tensor, to: Tensor, edges: Edges) -> tuple[Tensor, csr_matrix]:
    """Messages to every node [n, C], and how much it attends to whom [n, sources], the mean over heads."""
    messages, alpha = [], []
    for part in chunks(np.diff(edges.offsets), EDGES_A_CHUNK):
        pairs = torch.from_numpy(edges.all(np.arange(part.start, part.stop)))
        out, (_, weights) = conv((sources, to[part]), pairs, return_attention_weights=True)
        messages.append(out)
        alpha.append(weights.mean(-1).numpy())
    cells = np.concatenate(alpha) if alpha else np.zeros(0, dtype=np.float32)
    return torch.cat(messages), csr_matrix((cells, edges.targets, edges.offsets), shape=(len(to), len(sources)))
