"""Graph attention: users, items and attributes learn whom of their neighbours to listen to.

Notable features:
- four layers of GATv2 (Brody et al. 2022; PyTorch Geometric), several heads, residual: users attend to their items, items to
  their users and attributes
- a user starts as one learned vector that all share, so a user is what the history makes of it: `Attention` repeats the user's
  side of every layer for any history, without the graph
- link prediction by a softmax over sampled items, with hard negatives drawn from what is near the user's items: the cosine of
  user and item over a temperature, plus a bias of the item
- item vectors first learn the same task without the graph, from the mean of the history, which costs little
- two scores: the cosine, and the attention paths. The weights with which u listens to item j, j to user v, and v to item i
  multiply along the path; their sum over all paths scores i without squeezing it into a vector

Shapes: U users, I items, A attributes, B pairs, N negatives, S nodes a layer reads, e edges, C width, L layers, T history.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from configs.schema import TrainerConfig
from models.recommender.blend import HeldOut, quality
from models.recommender.config import AttentionConfig
from models.recommender.graph import Edges, Graph, Layer, drawn
from models.recommender.interactions import Histories
from models.recommender.neighbours import chunks, product
from models.recommender.parts import Scored, State
from models.recommender.readings import DenseReading, Floats, Reading, SparseReading, Vectors, scaled
from models.training.batches import mix, training_loader, validation_loader
from models.training.trainer import Task, fit

EDGES_A_CHUNK = 250_000
READ_AT_ONCE = 256
SLOPE = 0.2
"""Of the leaky rectifier before attention."""


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
            made = GATv2Conv((width, width), width // config.heads, config.heads, add_self_loops=False, bias=False)
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
        heard = self.to_users[depth]((items, to_users), layer.user_edges)
        told = self.to_items[depth]((users, to_items), layer.item_edges)
        said = self.from_attributes[depth]((self.attributes.weight, to_items), layer.attribute_edges)
        return to_users + heard, to_items + told + said


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
    """

    layers: tuple[Layer, ...]
    history: Tensor
    there: Tensor
    user: Tensor
    item: Tensor
    candidates: Tensor
    shared: int
    hard: Tensor

    def __len__(self) -> int:
        return len(self.user)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "PairBatch":
        """The batch on another device."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                value = value.to(device, non_blocking=non_blocking)
            elif field.name == "layers":
                value = tuple(layer.to(device, non_blocking) for layer in value)
            moved[field.name] = value
        return PairBatch(**moved)


class Pairs(Dataset[PairBatch]):
    """Every purchase as a user, an item, and what surrounds them. `near` [I, I] gives hard negatives."""

    LONGEST: ClassVar[int] = 40

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
        """The batch of (epoch, index) keys; an epoch of -1 draws the same in every run."""
        epoch, chosen = keys[0][0], np.array([index for _, index in keys])
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
        return PairBatch(
            layers=tuple(layers),
            history=torch.from_numpy(history),
            there=torch.from_numpy(there),
            user=torch.from_numpy(user),
            item=torch.from_numpy(place[items]),
            candidates=torch.from_numpy(candidates),
            shared=len(shared),
            hard=torch.from_numpy(place[hard]),
        )

    def _history(self, users: NDArray[Any], items: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        """Items of each user, at most `LONGEST`, drawn where there are more; the pair's own is not there."""
        if self.surrounded:
            return np.zeros((len(users), 0), dtype=np.int64), np.zeros((len(users), 0), dtype=bool)
        offsets, lengths = self.histories.offsets[users][:, None], self.histories.lengths[users][:, None]
        places = np.arange(min(self.LONGEST, int(lengths.max(initial=1))))
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

    def __init__(self, model: GraphAttention) -> None:
        super().__init__()
        self.model = model

    def training_loss(self, batch: PairBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy of the item among the shared and the hard negatives."""
        return {"loss": self._loss(batch)}

    def validation_loss(self, batch: PairBatch) -> dict[str, Tensor]:
        """The same on held-out purchases."""
        return {"loss": self._loss(batch)}

    def _loss(self, batch: PairBatch) -> Tensor:
        users, items = self._vectors(batch)
        users, scale = users[batch.user], 1.0 / self.model.config.temperature
        bias = self.model.bias(batch.candidates)[:, 0]
        right = (users * items[batch.item]).sum(-1) * scale + bias[batch.item]
        wrong = users @ items[: batch.shared].T * scale + bias[: batch.shared]
        wrong = wrong.masked_fill(batch.item[:, None] == torch.arange(batch.shared, device=wrong.device), -torch.inf)
        near = (users[:, None] * items[batch.hard]).sum(-1) * scale + bias[batch.hard]
        near = near.masked_fill(batch.hard == batch.item[:, None], -torch.inf)
        # Shared negatives stand for all items; hard ones for themselves.
        weight = math.log(len(self.model.bias.weight) / max(1, batch.shared))
        logits = torch.cat([right[:, None], wrong + weight, near], dim=1)
        return F.cross_entropy(logits.float(), torch.zeros(len(batch), dtype=torch.long, device=logits.device))

    def _vectors(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Unit vectors of users and candidates, by the graph or, without layers, by the mean of the history."""
        if batch.layers:
            found: tuple[Tensor, Tensor] = self.model(batch.layers)
            return found
        read = self.model.starts(batch.history)
        users = F.normalize((read * batch.there[:, :, None]).sum(1), dim=-1)
        return users, F.normalize(self.model.starts(batch.candidates), dim=-1)


@dataclass(frozen=True)
class Attention(Scored):
    """The trained layers, ready for any history.

    Attributes:
        items: float32 [I, C + 1], unit vectors over the temperature, and the bias.
        states: float32 [L, I, C], of every layer what users listen to (items times the layer's source weights).
        own: float32 [L, C, C], of every layer the weights of the user's own state.
        attention: float32 [L, H, C / H].
        user: float32 [C], the vector that every user starts as.
        paths: float32 [I, I], weights of the paths from an item of the history over its users to another item.
        share: How much the cosine counts, where the paths count 1; both over their spread.
    """

    items: Floats
    states: Floats
    own: Floats
    attention: Floats
    user: Floats
    paths: csr_matrix
    share: float
    kind: ClassVar[str] = "attention"

    def listen(self, histories: Histories) -> tuple[Floats, csr_matrix]:
        """Vectors of users [B, C], and how much each listens to each of its items [B, I] in the last layer."""
        vectors = np.zeros((len(histories), len(self.user)), dtype=np.float32)
        listened = np.zeros(len(histories.items), dtype=np.float32)
        order = np.argsort(histories.lengths, kind="stable")  # rows of like length are padded together
        for start in range(0, len(order), READ_AT_ONCE):
            rows = order[start : start + READ_AT_ONCE]
            part = histories.select(rows)
            vectors[rows], weights = self._listen(part)
            listened[np.repeat(histories.offsets[rows] - part.offsets[:-1], part.lengths) + np.arange(len(part.items))] = weights
        shape = len(histories), len(self.items)
        return vectors, csr_matrix((listened, histories.items, histories.offsets), shape=shape, copy=True)

    @torch.inference_mode()
    def _listen(self, histories: Histories) -> tuple[Floats, Floats]:
        codes, there = histories.padded(max(1, int(histories.lengths.max(initial=0))))
        mask = torch.from_numpy(there)
        state = self._user.expand(len(codes), -1)
        alpha = torch.zeros(0)
        for depth in range(len(self.states)):
            sources = self._states[depth][torch.from_numpy(codes)]  # (B, T, C)
            mixed = F.leaky_relu(sources + (state @ self._own[depth].T)[:, None], SLOPE)
            logits = (_by_head(mixed, self.attention) * self._attention[depth]).sum(-1)  # (B, T, H)
            alpha = logits.masked_fill(~mask[:, :, None], -torch.inf).softmax(1).nan_to_num()
            heard = (_by_head(sources, self.attention) * alpha[..., None]).sum(1).flatten(1)
            state = state + heard
        return F.normalize(state, dim=-1).numpy(), alpha.mean(-1)[mask].numpy()

    def read(self, histories: Histories) -> Reading:
        """See `models.recommender.parts.Part`."""
        return PathReading(*self.halves(histories), self.share)

    def halves(self, histories: Histories) -> tuple[SparseReading, DenseReading]:
        """Scores by paths and by cosine; zeros without a history, where popularity speaks alone."""
        vectors, listened = self.listen(histories)
        query = np.concatenate([vectors, np.ones((len(vectors), 1), dtype=np.float32)], axis=1)
        query[histories.lengths == 0] = 0.0
        return SparseReading((listened @ self.paths).tocsr()), DenseReading(query, self._vectors)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.items)

    def state(self) -> State:
        """See `models.recommender.parts.Part`."""
        paths = {"data": self.paths.data, "indices": self.paths.indices, "offsets": self.paths.indptr.astype(np.int64)}
        dense = {name: getattr(self, name) for name in ("items", "states", "own", "attention", "user")}
        return dense | paths | {"share": np.array([self.share], dtype=np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The part that `state` was taken of."""
        count = len(state["items"])
        paths = csr_matrix((state["data"], state["indices"], state["offsets"]), shape=(count, count))
        dense = {name: state[name] for name in ("items", "states", "own", "attention", "user")}
        return cls(**dense, paths=paths, share=float(state["share"][0]))

    @cached_property
    def _states(self) -> Tensor:
        return torch.from_numpy(self.states)

    @cached_property
    def _own(self) -> Tensor:
        return torch.from_numpy(self.own)

    @cached_property
    def _attention(self) -> Tensor:
        return torch.from_numpy(self.attention)

    @cached_property
    def _user(self) -> Tensor:
        return torch.from_numpy(self.user)


def _by_head(x: Tensor, attention: Floats) -> Tensor:
    """X (…, C) as (…, H, C / H)."""
    return x.view(*x.shape[:-1], *attention.shape[1:])


@dataclass(frozen=True)
class PathReading:
    """Paths plus `share` times the cosine, each over its spread."""

    paths: SparseReading
    cosine: DenseReading
    share: float

    def all(self) -> Floats:
        """See `models.recommender.readings.Reading`."""
        return self._sum(self.paths.all(), self.cosine.all() if self.share else None)

    def at(self, items: NDArray[Any]) -> Floats:
        """See `models.recommender.readings.Reading`."""
        return self._sum(self.paths.at(items), self.cosine.at(items) if self.share else None)

    def spread(self) -> Floats:
        """That of two scores that have nothing to do with each other."""
        return np.full(self.paths.rows.shape[0], math.sqrt(1.0 + self.share**2), dtype=np.float32)

    def first(self) -> "PathReading":
        """See `models.recommender.readings.Reading`."""
        return PathReading(self.paths.first(), self.cosine.first(), self.share)

    def _sum(self, paths: Floats, cosine: Floats | None) -> Floats:
        found = scaled(paths, self.paths.spread())
        if cosine is not None:
            found = found + np.float32(self.share) * scaled(cosine, self.cosine.spread())
        return found


def teach(
    model: GraphAttention,
    histories: Histories,
    graph: Graph,
    near: csr_matrix,
    held: tuple[NDArray[Any], NDArray[Any]],
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> None:
    """Item vectors by themselves, then every layer; the best by what `held` (users, items) say."""
    pairs = np.repeat(np.arange(len(histories)), histories.lengths), histories.items
    config = model.config
    lessons = trainer.model_copy(
        update={"epochs": max(1, round(config.lessons)), "learning_rate": config.lesson_rate, "batch_size": config.lesson_pairs}
    )
    for name, settings, surrounded in (("vectors", lessons, False), ("layers", trainer, True)):
        if not surrounded and not config.lessons:
            continue
        made = [Pairs(histories, graph, near, config, part, surrounded, trainer.seed) for part in (pairs, held)]
        loaders = training_loader(made[0], settings), validation_loader(made[1], settings)
        fit(LinkTask(model), *loaders, settings, workdir / name, loggers)


@dataclass(frozen=True)
class Listening:
    """What the trained layers do on the whole graph, before paths are put together.

    Attributes:
        part: The layers; its paths are empty.
        items: [I, U], how much each item listens to each of its users, in the last layer but one.
        users: [U, I], how much each user listens to each of its items, in the layer before that.
    """

    part: Attention
    items: csr_matrix
    users: csr_matrix

    def paths(self, buyers: Floats, power: float, keep: int) -> csr_matrix:
        """Weights [I, I] of all paths item, user, item; items of n buyers are damped by n to the -power as answers."""
        degree = np.maximum(buyers, 1.0).astype(np.float32)
        from_, to = diags(degree**power) @ self.items, self.users @ diags(degree**-power)
        return product(from_.tocsr(), to.tocsr(), keep).astype(np.float32)


@torch.inference_mode()
def listen(model: GraphAttention, graph: Graph) -> Listening:
    """The layers over the whole graph, a part of its nodes at a time."""
    model = model.eval().cpu()
    depths = model.config.layers
    users = model.user.expand(graph.users, -1).contiguous()
    items = model.starts(torch.arange(graph.items))
    states, own, weights = [], [], []
    of_items, of_users = csr_matrix((graph.items, graph.users)), csr_matrix((graph.users, graph.items))
    for depth in range(depths):
        conv = cast(Any, model.to_users[depth])
        states.append(conv.lin_l(items).numpy())
        own.append(conv.lin_r.weight.numpy().copy())
        weights.append(conv.att[0].numpy().copy())
        told, alpha = _whole(model.to_items[depth], users, items, graph.users_of_items)
        if depth == max(0, depths - 2):
            of_items = alpha
        said, _ = _whole(model.from_attributes[depth], model.attributes.weight, items, graph.attributes_of_items)
        if depth < depths - 1:  # the last layer's users are read from their histories
            heard, alpha = _whole(conv, items, users, graph.items_of_users)
            users = users + heard
            if depth == max(0, depths - 3):
                of_users = alpha
        items = items + told + said
    vectors = torch.cat([F.normalize(items, dim=-1) / model.config.temperature, model.bias.weight], dim=1)
    empty = csr_matrix((graph.items, graph.items), dtype=np.float32)
    layers = np.stack(states), np.stack(own), np.stack(weights)
    return Listening(Attention(vectors.numpy(), *layers, model.user.numpy().copy(), empty, 0.0), of_items, of_users)


def _whole(conv: nn.Module, sources: Tensor, to: Tensor, edges: Edges) -> tuple[Tensor, csr_matrix]:
    """What every node hears [n, C], and how much from whom [n, sources], the mean over heads."""
    heard, alpha = [], []
    for part in chunks(np.diff(edges.offsets), EDGES_A_CHUNK):
        pairs = torch.from_numpy(edges.all(np.arange(part.start, part.stop)))
        out, (_, weights) = conv((sources, to[part]), pairs, return_attention_weights=True)
        heard.append(out)
        alpha.append(weights.mean(-1).numpy())
    cells = np.concatenate(alpha) if alpha else np.zeros(0, dtype=np.float32)
    return torch.cat(heard), csr_matrix((cells, edges.targets, edges.offsets), shape=(len(to), len(sources)))


def chosen(
    listening: Listening, buyers: Floats, keep: int, config: AttentionConfig, held: HeldOut, places: int
) -> tuple[float, Attention]:
    """The damping, and the part with the share of the cosine, that rank what `held` users bought next best."""
    best, power, part = -1.0, 0.0, listening.part
    for tried in config.item_powers:
        walked = replace(listening.part, paths=listening.paths(buyers, tried, keep))
        reached = quality(walked.scores, held, places)
        if reached > best:
            best, power, part = reached, tried, walked
    walked = part
    for share in config.cosine_shares:
        shared = replace(walked, share=share)
        reached = quality(shared.scores, held, places)
        if reached > best:
            best, part = reached, shared
    return power, part
