"""Graph attention as a part: read from a history as PyTorch Geometric computes it on the graph, and fitted to what was bought."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import attention_cases
import numpy as np
import pytest
import torch
from attention_cases import ATTRIBUTES, CONFIG, ITEMS, USERS, histories, model_of
from recommender_cases import (
    bare_items,
    cells,
    choice_of,
    histories_of,
    purchases_of,
    settings_of,
    whole_graph,
)
from scipy.sparse import csr_matrix

from models.recommender.attention import GraphAttention, GraphStates, propagate
from models.recommender.graph import Graph
from models.recommender.held_out import HeldOut, quality
from models.recommender.parts import graph_attention
from models.recommender.parts.graph_attention import AttentionPaths

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def bought() -> csr_matrix:
    return attention_cases.bought()


@pytest.fixture(scope="module")
def attributes() -> csr_matrix:
    return attention_cases.attributes()


def content() -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((ITEMS, 5)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def states_of(model: GraphAttention, bought: csr_matrix, attributes: csr_matrix) -> GraphStates:
    return propagate(model, Graph.of(bought, attributes))


def part_of(states: GraphStates, power: float = 0.0, share: float = 0.0) -> AttentionPaths:
    return AttentionPaths.of(states, np.ones(ITEMS, dtype=np.float32), power, share, ITEMS)


@pytest.mark.parametrize("with_content", [False, True])
def test_a_history_is_read_as_the_whole_graph_reads_its_user(
    bought: csr_matrix, attributes: csr_matrix, with_content: bool
) -> None:
    model = model_of(ITEMS, content() if with_content else None)
    whole = whole_graph(model, bought, attributes)
    part = part_of(states_of(model, bought, attributes))
    vectors, attended = part.encode(histories(bought))
    np.testing.assert_allclose(vectors, whole.users, atol=1e-5)
    np.testing.assert_allclose(attended.toarray(), whole.of_users[-1], atol=1e-5)
    np.testing.assert_allclose(part.items[:, :-1] * CONFIG.temperature, whole.items, atol=1e-5)
    np.testing.assert_array_equal(part.items[:, -1], model.bias.weight[:, 0].detach().numpy())


def test_users_come_out_in_the_order_in_which_they_go_in(bought: csr_matrix, attributes: csr_matrix) -> None:
    part, all_users = part_of(states_of(model_of(ITEMS), bought, attributes)), histories(bought)
    order = np.random.default_rng(0).permutation(USERS)
    vectors, attended = part.encode(all_users)
    turned, turned_attended = part.encode(all_users.select(order))
    np.testing.assert_allclose(turned, vectors[order], atol=1e-6)
    np.testing.assert_allclose(turned_attended.toarray(), attended.toarray()[order], atol=1e-6)


def test_without_a_history_there_are_neither_paths_nor_scores(bought: csr_matrix, attributes: csr_matrix) -> None:
    states = states_of(model_of(ITEMS), bought, attributes)
    part = part_of(states, 0.3, 0.5)
    vectors, attended = part.encode(histories_of([], [3]))
    np.testing.assert_allclose(vectors[0], part.user / np.linalg.norm(part.user), atol=1e-6)
    assert attended[0].sum() == 0
    assert attended[1].sum() == pytest.approx(1)
    assert part.scores(histories_of([], [3]))[0].tolist() == [0] * ITEMS


def test_scores_are_paths_and_a_share_of_the_cosine_over_their_spread(bought: csr_matrix, attributes: csr_matrix) -> None:
    states, users = states_of(model_of(ITEMS), bought, attributes), histories(bought)
    part = part_of(states, 0.0, 0.3)
    vectors, attended = part.encode(users)
    cosine = vectors @ part.items[:, :-1].T + part.items[:, -1]
    walked = attended.toarray() @ part.paths.toarray()
    one = np.maximum(walked.std(1, keepdims=True), 1e-9)  # 0 for a user without a history
    expected = walked / one + 0.3 * cosine / cosine.std(1, keepdims=True)
    assert (users.lengths == 0).any()
    expected[users.lengths == 0] = 0
    reading, some = part.read(users), np.array([5, 0, 11])
    np.testing.assert_allclose(reading.all(), expected, atol=1e-4)
    np.testing.assert_allclose(reading.at(some), expected[:, some], atol=1e-4)
    np.testing.assert_allclose(part.scores(users), expected, atol=1e-4)
    np.testing.assert_allclose(replace(part, share=0.0).scores(users), walked / one, atol=1e-4)
    assert reading.spread() == pytest.approx([math.hypot(1, 0.3)] * USERS)  # as if the two were independent


def test_a_restored_part_scores_the_same(bought: csr_matrix, attributes: csr_matrix) -> None:
    states = states_of(model_of(ITEMS), bought, attributes)
    part = part_of(states, 0.3, 0.25)
    restored = AttentionPaths.restore(part.state(), CONFIG, bare_items(ITEMS))
    np.testing.assert_array_equal(restored.scores(histories(bought)), part.scores(histories(bought)))


def test_histories_are_read_the_same_in_pieces(
    bought: csr_matrix, attributes: csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = part_of(states_of(model_of(ITEMS), bought, attributes))
    whole = part.encode(histories(bought))[0]
    monkeypatch.setattr(graph_attention, "USERS_A_BATCH", 4)
    np.testing.assert_allclose(part.encode(histories(bought))[0], whole, atol=1e-5)


def groups(users: int = 45, items: int = 18, seed: int = 0) -> csr_matrix:
    """Each user buys four of the six items of one of three groups."""
    rng = np.random.default_rng(seed)
    return cells([rng.permutation(items // 3)[:4] + (items // 3) * (user % 3) for user in range(users)], items)


@pytest.mark.parametrize("with_content", [False, True])
def test_fitted_layers_find_the_rest_of_a_users_group(
    tmp_path: Path, with_content: bool, seed: int, measured: Callable[[str, float], float]
) -> None:
    x, items = groups(seed=seed), bare_items(ITEMS, csr_matrix((ITEMS, ATTRIBUTES), dtype=np.float32))
    lists = [row.indices.tolist() for row in x]
    rest = [sorted(set(range(6 * (u % 3), 6 * (u % 3) + 6)) - set(own)) for u, own in enumerate(lists)]
    training = purchases_of(*lists, items=items, content=content() if with_content else None)
    held = HeldOut.of(training.histories, cells(rest, ITEMS))
    settings, choice = settings_of(tmp_path, CONFIG, epochs=3, batch_size=64, learning_rate=0.01), choice_of(held)
    torch.manual_seed(seed)
    part = AttentionPaths.fit(training, choice, settings)
    assert part.item_power in CONFIG.item_powers
    assert part.share in (0.0, *CONFIG.cosine_shares)
    assert measured("nDCG", choice.quality(part)) > 0.9  # 1.000
    assert measured("nDCG of the cosine", quality(lambda asked: part.halves(asked)[1].all(), held, 10)) > 0.7  # 1.000
    assert part.network is not None
    if part.network.project is not None:
        assert part.network.project.weight.detach().abs().sum() > 0
    everything = purchases_of(*(own + more for own, more in zip(lists, rest, strict=True)), items=items)
    again = part.refit(everything, settings)
    assert (again.item_power, again.share, again.network) == (part.item_power, part.share, None)
    states = propagate(part.network, Graph.of(everything.matrix, items.attributes))
    expected = states.paths(everything.items.buyers, part.item_power, 100)
    np.testing.assert_array_equal(again.paths.toarray(), expected.toarray())
    np.testing.assert_array_equal(again.items, states.items)
