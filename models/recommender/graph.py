"""The graph of users, items and attributes, and the part of it that a training step sees.

Neighbours are drawn anew in every step (Hamilton et al. 2017), from compressed rows, with our own few lines: a layer gets at
most `fanout` neighbours of each node, so that a step's cost has a bound whatever the size of the graph. Shapes: U users, I
items, A attributes, n nodes, e edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from models.training.batches import moved

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Compressed rows: node i of one kind has the neighbours targets[offsets[i]:offsets[i + 1]] of another."""

    offsets: Integers
    targets: Integers

    @classmethod
    def of(cls, matrix: csr_matrix) -> Self:
        """The cells of a matrix."""
        return cls(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64))

    def all(self, nodes: Integers) -> Integers:
        """Every edge of `nodes` as (2, e): neighbour, and place of the node in `nodes`."""
        degree = self.offsets[nodes + 1] - self.offsets[nodes]
        places = np.repeat(np.arange(len(nodes)), degree)
        first = np.repeat(self.offsets[nodes] - np.concatenate([[0], np.cumsum(degree)[:-1]]), degree)
        return np.stack([self.targets[first + np.arange(len(places))], places])

    def draw(self, nodes: Integers, fanout: int, rng: np.random.Generator) -> Integers:
        """At most `fanout` edges of each of `nodes` (2, e); where a node has more, drawn with replacement."""
        degree = self.offsets[nodes + 1] - self.offsets[nodes]
        taken = np.minimum(degree, fanout)
        places = np.repeat(np.arange(len(nodes)), taken)
        within = np.arange(len(places)) - np.repeat(np.cumsum(taken) - taken, taken)
        chosen = np.where(degree[places] > fanout, (rng.random(len(places)) * degree[places]).astype(np.int64), within)
        return np.stack([self.targets[self.offsets[nodes][places] + chosen], places])


@dataclass(frozen=True)
class Graph:
    """Edges by kind of the node that they lead to."""

    items_of_users: Edges
    users_of_items: Edges
    attributes_of_items: Edges

    @classmethod
    def of(cls, bought: csr_matrix, attributes: csr_matrix) -> Self:
        """From users × items [U, I] and items × attributes [I, A]."""
        return cls(Edges.of(bought), Edges.of(bought.T.tocsr()), Edges.of(attributes))

    @property
    def users(self) -> int:
        """U."""
        return len(self.items_of_users.offsets) - 1

    @property
    def items(self) -> int:
        """I."""
        return len(self.users_of_items.offsets) - 1


@dataclass(frozen=True)
class Layer:
    """One attention layer: from which users and items, by which edges (2, e), to the first of them.

    The nodes that it leads to come first in `users` and in `items`, `to_users` and `to_items` of them.
    """

    users: Tensor
    items: Tensor
    to_users: int
    to_items: int
    user_edges: Tensor
    item_edges: Tensor
    attribute_edges: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The layer on another device."""
        return moved(self, device, non_blocking)


def drawn(
    graph: Graph, users: Integers, items: Integers, pairs: Integers, fanouts: tuple[int, ...], rng: np.random.Generator
) -> list[Layer]:
    """Layers, the first to be computed first, that lead to distinct `users` and `items`.

    The last layer leaves out the edges between users[pairs[0]] and items[pairs[1]]: what is to be predicted is not shown.
    """
    layers: list[Layer] = []
    for depth, fanout in enumerate(fanouts):
        to_users, to_items = len(users), len(items)
        user_edges = graph.items_of_users.draw(users, fanout, rng)
        item_edges = graph.users_of_items.draw(items, fanout, rng)
        attribute_edges = graph.attributes_of_items.draw(items, fanout, rng)
        if depth == 0:
            wanted = users[pairs[0]] * graph.items + items[pairs[1]]
            user_edges = user_edges[:, ~np.isin(users[user_edges[1]] * graph.items + user_edges[0], wanted)]
            item_edges = item_edges[:, ~np.isin(item_edges[0] * graph.items + items[item_edges[1]], wanted)]
        users, item_edges = _relabelled(users, item_edges, graph.users)
        items, user_edges = _relabelled(items, user_edges, graph.items)
        edges = [torch.from_numpy(part) for part in (user_edges, item_edges, attribute_edges)]
        layers.append(Layer(torch.from_numpy(users), torch.from_numpy(items), to_users, to_items, *edges))
    return layers[::-1]


def leading_to(layers: Sequence[Layer], users: Integers, items: Integers) -> list[Layer]:
    """What of `layers` leads to some of their users and items alone, which are named by their places after the last layer."""
    found: list[Layer] = []
    for layer in reversed(layers):
        to_users = _to(users, layer.user_edges.numpy(), layer.to_users)
        to_items, attribute_edges = (
            _to(items, edges.numpy(), layer.to_items) for edges in (layer.item_edges, layer.attribute_edges)
        )
        from_users, item_edges = _relabelled(users, to_items, len(layer.users))
        from_items, user_edges = _relabelled(items, to_users, len(layer.items))
        edges = [torch.from_numpy(part) for part in (user_edges, item_edges, attribute_edges)]
        found.append(Layer(layer.users[from_users], layer.items[from_items], len(users), len(items), *edges))
        users, items = from_users, from_items
    return found[::-1]


def _to(nodes: Integers, edges: Integers, count: int) -> Integers:
    """Edges (2, e) that lead to `nodes`, which are some of `count`, with places in them."""
    place = np.full(count, -1, dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    kept = edges[:, place[edges[1]] >= 0]
    return np.stack([kept[0], place[kept[1]]])


def _relabelled(first: Integers, edges: Integers, count: int) -> tuple[Integers, Integers]:
    """Nodes that edges come from, `first` leading, and the edges with places in them."""
    place = np.full(count, -1, dtype=np.int64)
    place[first] = np.arange(len(first))
    found = np.zeros(count, dtype=bool)
    found[edges[0]] = True
    found[first] = False
    new = np.flatnonzero(found)
    place[new] = len(first) + np.arange(len(new))
    return np.concatenate([first, new]), np.stack([place[edges[0]], edges[1]])
