"""The network of graph attention: what a step asks, what is lost, and the paths over the whole graph."""

from collections.abc import Callable

import attention_cases
import numpy as np
import pytest
import torch
from attention_cases import CONFIG, ITEMS, histories, model_of
from recommender_cases import cells, whole_graph
from scipy.sparse import csr_matrix

from models.recommender import attention
from models.recommender.attention import AttentionConfig, GraphAttention, GraphStates, LinkTask, Pairs, propagate
from models.recommender.graph import Graph
from models.recommender.neighbours import co_purchases

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def bought() -> csr_matrix:
    return attention_cases.bought()


@pytest.fixture(scope="module")
def attributes() -> csr_matrix:
    return attention_cases.attributes()


def states_of(model: GraphAttention, bought: csr_matrix, attributes: csr_matrix) -> GraphStates:
    return propagate(model, Graph.of(bought, attributes))


def test_the_whole_graph_is_the_same_in_pieces(
    bought: csr_matrix, attributes: csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(ITEMS)
    whole = states_of(model, bought, attributes)
    monkeypatch.setattr(attention, "EDGES_A_CHUNK", 7)
    pieces = states_of(model, bought, attributes)
    np.testing.assert_allclose(pieces.items, whole.items, atol=1e-5)
    np.testing.assert_allclose(pieces.item_attention.toarray(), whole.item_attention.toarray(), atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_paths_multiply_who_listens_to_whom(bought: csr_matrix, attributes: csr_matrix, depth: int) -> None:
    model = model_of(ITEMS, layers=depth, fanouts=(3,) * depth)
    whole, states = whole_graph(model, bought, attributes), states_of(model, bought, attributes)
    of_items, of_users = whole.of_items[max(0, depth - 2)], whole.of_users[max(0, depth - 3)]
    buyers = np.arange(ITEMS, dtype=np.float32)
    if depth > 1:  # a user's only layer is read from the history
        degree = np.maximum(buyers, 1)
        expected = np.diag(degree**0.4) @ of_items @ of_users @ np.diag(degree**-0.4)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(states.paths(buyers, 0.4, ITEMS).toarray(), expected, atol=1e-4)
        kept = states.paths(buyers, 0.4, 3)
        assert np.diff(kept.indptr).max() <= 3
        assert kept.toarray().max() == pytest.approx(expected.max(), abs=1e-4)
    else:
        assert states.paths(buyers, 0.4, ITEMS).nnz == 0


def groups(users: int = 45, items: int = 18, seed: int = 0) -> csr_matrix:
    """Each user buys four of the six items of one of three groups."""
    rng = np.random.default_rng(seed)
    return cells([rng.permutation(items // 3)[:4] + (items // 3) * (user % 3) for user in range(users)], items)


def pairs_of(x: csr_matrix, surrounded: bool, config: AttentionConfig = CONFIG) -> Pairs:
    no_attributes = csr_matrix((x.shape[1], 0), dtype=np.float32)
    near = co_purchases(x, 0.4, 10)
    users = histories(x)
    pairs = np.repeat(np.arange(len(users)), users.lengths), users.items
    return Pairs(users, Graph.of(x, no_attributes), near, config, pairs, surrounded, seed=0)


def every(pairs: Pairs, epoch: int = 0, first: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
    return [(epoch, index) for index in range(first, len(pairs) if stop is None else stop)]


@pytest.mark.parametrize("surrounded", [False, True])
def test_a_batch_asks_for_what_was_bought_among_what_was_not(surrounded: bool) -> None:
    x = groups()
    pairs = pairs_of(x, surrounded)
    batch = pairs.__getitems__(every(pairs, stop=50))
    assert len(batch) == 50
    assert batch.candidates[batch.item].tolist() == pairs.items[:50].tolist()
    assert len(set(batch.candidates.tolist())) == len(batch.candidates)
    own = batch.candidates[batch.hard] == torch.from_numpy(pairs.items[:50])[:, None]
    bought = x.toarray()[pairs.users[:50][:, None], batch.candidates[batch.hard].numpy()] == 1
    assert (torch.from_numpy(bought) == own).all()  # the pair's own item is masked in the loss
    if surrounded:
        assert batch.layers[-1].users[batch.user].tolist() == pairs.users[:50].tolist()
        assert batch.layers[-1].items[: len(batch.candidates)].tolist() == batch.candidates.tolist()
    else:
        for row, (user, item) in enumerate(zip(pairs.users[:50], pairs.items[:50], strict=True)):
            seen = set(batch.history[row][batch.there[row]].tolist())
            assert seen == set(x[user].indices.tolist()) - {int(item)}


def test_a_batch_moves_with_its_layers() -> None:
    pairs = pairs_of(groups(), True)
    batch = pairs.__getitems__(every(pairs, stop=20))
    moved = batch.to("meta")
    assert {moved.user.device.type, moved.candidates.device.type, moved.layers[0].user_edges.device.type} == {"meta"}
    assert (moved.shared, len(moved.layers), moved.layers[0].to_users) == (batch.shared, 4, batch.layers[0].to_users)


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    pairs = pairs_of(groups(), True)
    first, again, later = (pairs.__getitems__(every(pairs, epoch, stop=20)) for epoch in (0, 0, 1))
    assert first.candidates.tolist() == again.candidates.tolist()
    assert first.layers[0].user_edges.tolist() == again.layers[0].user_edges.tolist()
    assert first.layers[0].user_edges.tolist() != later.layers[0].user_edges.tolist()


def test_a_long_history_is_drawn_from() -> None:
    x = groups()
    pairs = pairs_of(x, False, CONFIG.model_copy(update={"lesson_items": 2}))
    batch = pairs.__getitems__(every(pairs))
    assert batch.history.shape[1] == 2
    for row, user in enumerate(pairs.users):
        assert set(batch.history[row][batch.there[row]].tolist()) <= set(x[user].indices.tolist())


def test_the_loss_is_a_softmax_over_all_items_where_all_are_negatives() -> None:
    """With every item among the shared negatives and no hard ones, against PyTorch's own cross-entropy."""
    config = CONFIG.model_copy(update={"negatives": 2000, "hard_negatives": 0})
    pairs = pairs_of(groups(), False, config)
    batch = pairs.__getitems__(every(pairs, stop=12))
    assert batch.shared == ITEMS
    model = model_of(ITEMS)
    with torch.no_grad():
        table = torch.nn.functional.normalize(model.items.weight, dim=-1)
        read = torch.stack(
            [
                model.items.weight[[i for i in pairs.histories.user(u)[0].tolist() if i != item]].sum(0)
                for u, item in zip(pairs.users[:12], pairs.items[:12], strict=True)
            ]
        )
        logits = torch.nn.functional.normalize(read, dim=-1) @ table.T / config.temperature + model.bias.weight[:, 0]
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(pairs.items[:12]))
        found = LinkTask(model).validation_loss(batch)["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("surrounded", [False, True])
def test_loss_falls_and_a_batch_is_overfitted(surrounded: bool, seed: int, measured: Callable[[str, float], float]) -> None:
    x = groups(seed=seed)
    pairs = pairs_of(x, surrounded)
    batch = pairs.__getitems__([(0, index) for index in range(0, 24, 4)])  # one purchase of each of six users
    model = model_of(ITEMS, seed=seed)
    task, generator = LinkTask(model), torch.Generator()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(80):
        loss = task.training_loss(batch, generator)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert measured("loss after 30 steps, times the first", losses[30] / losses[0]) < 0.5  # 0.007–0.09
    assert measured("loss after 80 steps, times the first", losses[-1] / losses[0]) < 0.25  # 0.001–0.08
