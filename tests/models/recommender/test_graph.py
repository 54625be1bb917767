"""What a training step sees of the graph: edges that exist, within bounds, without what is to be predicted."""

from itertools import pairwise

import attention_cases
import numpy as np
import pytest
import torch
from recommender_cases import cells, random_cells, whole_graph
from scipy.sparse import csr_matrix

from models.recommender.attention import AttentionConfig, GraphAttention
from models.recommender.graph import Edges, Graph, Layer, drawn, leading_to

USERS, ITEMS, ATTRIBUTES = 40, 25, 7


@pytest.fixture(scope="module")
def bought() -> csr_matrix:
    return random_cells(USERS, ITEMS, 0.2, seed=1)


@pytest.fixture(scope="module")
def attributes() -> csr_matrix:
    return random_cells(ITEMS, ATTRIBUTES, 0.3, seed=2)


@pytest.fixture(scope="module")
def graph(bought: csr_matrix, attributes: csr_matrix) -> Graph:
    return Graph.of(bought, attributes)


def nothing() -> np.ndarray:
    return np.zeros((2, 0), dtype=np.int64)


def test_the_graph_counts_its_nodes(graph: Graph) -> None:
    assert (graph.users, graph.items) == (USERS, ITEMS)


def test_all_edges_of_some_nodes_by_hand() -> None:
    edges = Edges.of(cells([[1, 4], [], [0], [2, 3]], 5))
    targets, places = edges.all(np.array([3, 1, 0]))
    assert list(zip(targets.tolist(), places.tolist(), strict=True)) == [(2, 0), (3, 0), (1, 2), (4, 2)]
    assert edges.all(np.array([1])).shape == (2, 0)


def test_drawn_edges_exist_and_have_a_bound(bought: csr_matrix, graph: Graph) -> None:
    rng, nodes = np.random.default_rng(0), np.array([7, 0, 39, 12, 3])
    targets, places = graph.items_of_users.draw(nodes, 3, rng)
    assert (bought[nodes[places], targets] == 1).all()
    degree = np.diff(bought.indptr)[nodes]
    assert np.bincount(places, minlength=5).tolist() == np.minimum(degree, 3).tolist()


def test_nodes_of_few_edges_keep_all_of_them() -> None:
    edges = Edges.of(cells([[1, 4], [], [0, 1, 2, 3, 4]], 5))
    for seed in range(5):
        targets, places = edges.draw(np.array([0, 1, 2]), 4, np.random.default_rng(seed))
        assert sorted(targets[places == 0].tolist()) == [1, 4]
        assert (places == 2).sum() == 4


def test_every_edge_is_drawn_equally_often() -> None:
    edges, rng = Edges.of(cells([[0, 1, 2, 3, 4, 5]], 6)), np.random.default_rng(0)
    targets = np.concatenate([edges.draw(np.array([0]), 2, rng)[0] for _ in range(3000)])
    assert np.bincount(targets, minlength=6) / 1000 == pytest.approx([1.0] * 6, abs=0.12)


def layers_of(graph: Graph, fanouts: tuple[int, ...] = (4, 3, 2)) -> tuple[np.ndarray, np.ndarray, list[Layer]]:
    users, items = np.array([5, 30, 2]), np.array([9, 1, 24, 0])
    pairs = np.array([[0, 0, 1, 2, 2], [0, 3, 1, 2, 1]])
    return users, items, drawn(graph, users, items, pairs, fanouts, np.random.default_rng(3))


def test_every_drawn_edge_is_an_edge_of_the_graph(bought: csr_matrix, attributes: csr_matrix, graph: Graph) -> None:
    *_, layers = layers_of(graph)
    for layer in layers:
        users, items = layer.users.numpy(), layer.items.numpy()
        source, to = layer.user_edges.numpy()
        assert (bought[users[to], items[source]] == 1).all()
        source, to = layer.item_edges.numpy()
        assert (bought[users[source], items[to]] == 1).all()
        source, to = layer.attribute_edges.numpy()
        assert (attributes[items[to], source] == 1).all()


def test_each_layer_leads_to_the_nodes_of_the_next(graph: Graph) -> None:
    wanted_users, wanted_items, layers = layers_of(graph)
    for layer, following in pairwise(layers):
        assert layer.users[: layer.to_users].tolist() == following.users.tolist()
        assert layer.items[: layer.to_items].tolist() == following.items.tolist()
    assert layers[-1].users[: layers[-1].to_users].tolist() == wanted_users.tolist()
    assert layers[-1].items[: layers[-1].to_items].tolist() == wanted_items.tolist()
    for layer in layers:
        assert len(set(layer.users.tolist())) == len(layer.users)
        assert len(set(layer.items.tolist())) == len(layer.items)
        assert (layer.user_edges[1] < layer.to_users).all()
        assert (layer.item_edges[1] < layer.to_items).all()
        assert (layer.attribute_edges[1] < layer.to_items).all()


def test_no_node_hears_more_neighbours_than_its_layer_allows(graph: Graph) -> None:
    *_, layers = layers_of(graph, (4, 3, 2))
    for layer, fanout in zip(layers, (2, 3, 4), strict=True):  # from the first layer to the answer's
        for edges in (layer.user_edges, layer.item_edges, layer.attribute_edges):
            assert edges[1].bincount().max() <= fanout


def test_the_last_layer_does_not_show_what_is_to_be_predicted(bought: csr_matrix, graph: Graph) -> None:
    users, items = np.arange(6), np.arange(10)
    pairs = np.stack(bought[:6, :10].nonzero()).astype(np.int64)
    last = drawn(graph, users, items, pairs, (USERS,), np.random.default_rng(0))[0]
    hidden = {(int(users[u]), int(items[i])) for u, i in pairs.T}
    source, to = last.user_edges
    heard = set(zip(last.users[to].tolist(), last.items[source].tolist(), strict=True))
    assert not heard & hidden
    assert heard == {(u, i) for u, i in zip(*map(np.ndarray.tolist, bought[:6].nonzero()), strict=True) if i >= 10}
    source, to = last.item_edges
    told = set(zip(last.users[source].tolist(), last.items[to].tolist(), strict=True))
    assert not told & hidden
    assert {i for _, i in told} <= set(range(10))


def test_a_layer_moves_with_all_its_tensors(graph: Graph) -> None:
    *_, layers = layers_of(graph)
    moved = layers[0].to("meta")
    for name in ("users", "items", "user_edges", "item_edges", "attribute_edges"):
        assert getattr(moved, name).device.type == "meta"
    assert (moved.to_users, moved.to_items) == (layers[0].to_users, layers[0].to_items)


@pytest.mark.parametrize("depth", [1, 3])
def test_with_room_for_every_neighbour_the_states_are_those_of_the_whole_graph(
    bought: csr_matrix, attributes: csr_matrix, graph: Graph, depth: int
) -> None:
    config = AttentionConfig(width=8, heads=2, layers=depth, fanouts=(USERS,) * depth)
    torch.manual_seed(0)
    model = GraphAttention(config, np.random.default_rng(0).standard_normal((ITEMS, 8)).astype(np.float32), ATTRIBUTES, None)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    users, items = np.array([5, 30, 2]), np.array([9, 1, 24, 0])
    layers = drawn(graph, users, items, nothing(), config.fanouts, np.random.default_rng(0))
    with torch.inference_mode():
        of_users, of_items = model(layers)
    whole = whole_graph(model, bought, attributes)
    np.testing.assert_allclose(of_users.numpy(), whole.users[users], atol=1e-5)
    np.testing.assert_allclose(of_items.numpy(), whole.items[items], atol=1e-5)


def test_what_leads_to_some_nodes_computes_the_same_of_them() -> None:
    model, graph = (
        attention_cases.model_of(attention_cases.ITEMS),
        Graph.of(attention_cases.bought(), attention_cases.attributes()),
    )
    users, items = np.arange(0, 20, 2), np.arange(attention_cases.ITEMS)
    pairs = np.stack([np.arange(10), np.arange(10)])
    whole = drawn(graph, users, items, pairs, (3, 2, 2, 2), np.random.default_rng(0))
    some_users, some_items = np.array([1, 4, 7]), np.arange(9, 18)
    part = leading_to(whole, some_users, some_items)
    with torch.no_grad():
        (all_users, all_items), (found_users, found_items) = model(whole), model(part)
    torch.testing.assert_close(found_users, all_users[some_users])
    torch.testing.assert_close(found_items, all_items[some_items])
    assert len(part[0].items) <= len(whole[0].items) and len(part[0].users) < len(whole[0].users)
    assert sum(layer.item_edges.shape[1] for layer in part) < sum(layer.item_edges.shape[1] for layer in whole)
