"""Graph attention: read from a history as PyTorch Geometric computes it on the graph, and taught to find what was bought."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recommender_cases import cells, histories_of, random_cells, whole_graph
from scipy.sparse import csr_matrix

from configs.schema import TrainerConfig
from models.recommender import attention
from models.recommender.attention import Attention, GraphAttention, LinkTask, Listening, Pairs, listen, teach
from models.recommender.blend import HeldOut, quality
from models.recommender.config import AttentionConfig
from models.recommender.graph import Graph
from models.recommender.interactions import Histories
from models.recommender.neighbours import co_purchases

pytestmark = pytest.mark.trains

USERS, ITEMS, ATTRIBUTES, WIDTH = 30, 18, 6, 8
CONFIG = AttentionConfig(
    width=WIDTH, heads=2, fanouts=(5, 4, 3, 3), negatives=64, hard_negatives=2, lessons=2, lesson_rate=0.05, lesson_pairs=64
)
TRAINER = TrainerConfig(
    epochs=3,
    batch_size=64,
    learning_rate=0.01,
    ema_decay=0.0,
    workers=0,
    tensorboard=False,
    precision="32-true",
    early_stopping=(),
)


def histories(bought: csr_matrix) -> Histories:
    return histories_of(*(row.indices.tolist() for row in bought))


def model_of(items: int, content: np.ndarray | None = None, seed: int = 0, **values: object) -> GraphAttention:
    """Weights at random, so that every one of them matters."""
    torch.manual_seed(seed)
    start = np.random.default_rng(seed).standard_normal((items, WIDTH)).astype(np.float32)
    model = GraphAttention(CONFIG.model_copy(update=values), start, ATTRIBUTES, content)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture(scope="module")
def bought() -> csr_matrix:
    return random_cells(USERS, ITEMS, 0.25, seed=1)


@pytest.fixture(scope="module")
def attributes() -> csr_matrix:
    return random_cells(ITEMS, ATTRIBUTES, 0.3, seed=2)


def content() -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((ITEMS, 5)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def heard(model: GraphAttention, bought: csr_matrix, attributes: csr_matrix) -> Listening:
    return listen(model, Graph.of(bought, attributes))


@pytest.mark.parametrize("with_content", [False, True])
def test_a_history_is_read_as_the_whole_graph_reads_its_user(
    bought: csr_matrix, attributes: csr_matrix, with_content: bool
) -> None:
    model = model_of(ITEMS, content() if with_content else None)
    whole = whole_graph(model, bought, attributes)
    part = heard(model, bought, attributes).part
    vectors, listened = part.listen(histories(bought))
    np.testing.assert_allclose(vectors, whole.users, atol=1e-5)
    np.testing.assert_allclose(listened.toarray(), whole.of_users[-1], atol=1e-5)
    np.testing.assert_allclose(part.items[:, :-1] * CONFIG.temperature, whole.items, atol=1e-5)
    np.testing.assert_array_equal(part.items[:, -1], model.bias.weight[:, 0].detach().numpy())


def test_the_whole_graph_is_the_same_in_pieces(
    bought: csr_matrix, attributes: csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(ITEMS)
    whole = heard(model, bought, attributes)
    scores = whole.part.listen(histories(bought))[0]
    monkeypatch.setattr(attention, "EDGES_A_CHUNK", 7)
    monkeypatch.setattr(attention, "READ_AT_ONCE", 4)
    pieces = heard(model, bought, attributes)
    np.testing.assert_allclose(pieces.part.items, whole.part.items, atol=1e-5)
    np.testing.assert_allclose(pieces.items.toarray(), whole.items.toarray(), atol=1e-5)
    np.testing.assert_allclose(pieces.part.listen(histories(bought))[0], scores, atol=1e-5)


def test_users_come_out_in_the_order_in_which_they_go_in(bought: csr_matrix, attributes: csr_matrix) -> None:
    part, all_users = heard(model_of(ITEMS), bought, attributes).part, histories(bought)
    order = np.random.default_rng(0).permutation(USERS)
    vectors, listened = part.listen(all_users)
    turned, turned_listened = part.listen(all_users.select(order))
    np.testing.assert_allclose(turned, vectors[order], atol=1e-6)
    np.testing.assert_allclose(turned_listened.toarray(), listened.toarray()[order], atol=1e-6)


def test_without_a_history_there_are_neither_paths_nor_scores(bought: csr_matrix, attributes: csr_matrix) -> None:
    listening = heard(model_of(ITEMS), bought, attributes)
    part = replace(listening.part, paths=listening.paths(np.ones(ITEMS), 0.3, ITEMS), share=0.5)
    vectors, listened = part.listen(histories_of([], [3]))
    np.testing.assert_allclose(vectors[0], part.user / np.linalg.norm(part.user), atol=1e-6)
    assert listened[0].sum() == 0
    assert listened[1].sum() == pytest.approx(1)
    assert part.scores(histories_of([], [3]))[0].tolist() == [0] * ITEMS


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_paths_multiply_who_listens_to_whom(bought: csr_matrix, attributes: csr_matrix, depth: int) -> None:
    model = model_of(ITEMS, layers=depth, fanouts=(3,) * depth)
    whole, listening = whole_graph(model, bought, attributes), heard(model, bought, attributes)
    of_items, of_users = whole.of_items[max(0, depth - 2)], whole.of_users[max(0, depth - 3)]
    buyers = np.arange(ITEMS, dtype=np.float32)
    if depth > 1:  # a user's only layer is read from the history
        degree = np.maximum(buyers, 1)
        expected = np.diag(degree**0.4) @ of_items @ of_users @ np.diag(degree**-0.4)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(listening.paths(buyers, 0.4, ITEMS).toarray(), expected, atol=1e-4)
        kept = listening.paths(buyers, 0.4, 3)
        assert np.diff(kept.indptr).max() <= 3
        assert kept.toarray().max() == pytest.approx(expected.max(), abs=1e-4)
    else:
        assert listening.paths(buyers, 0.4, ITEMS).nnz == 0


def test_scores_are_paths_and_a_share_of_the_cosine_over_their_spread(bought: csr_matrix, attributes: csr_matrix) -> None:
    listening, users = heard(model_of(ITEMS), bought, attributes), histories(bought)
    paths = listening.paths(np.ones(ITEMS, dtype=np.float32), 0.0, ITEMS)
    part = replace(listening.part, paths=paths, share=0.3)
    vectors, listened = part.listen(users)
    cosine = vectors @ part.items[:, :-1].T + part.items[:, -1]
    walked = listened.toarray() @ paths.toarray()
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
    listening = heard(model_of(ITEMS), bought, attributes)
    part = replace(listening.part, paths=listening.paths(np.ones(ITEMS), 0.3, 5), share=0.25)
    restored = Attention.restore(part.state())
    np.testing.assert_array_equal(restored.scores(histories(bought)), part.scores(histories(bought)))


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


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    pairs = pairs_of(groups(), True)
    first, again, later = (pairs.__getitems__(every(pairs, epoch, stop=20)) for epoch in (0, 0, 1))
    assert first.candidates.tolist() == again.candidates.tolist()
    assert first.layers[0].user_edges.tolist() == again.layers[0].user_edges.tolist()
    assert first.layers[0].user_edges.tolist() != later.layers[0].user_edges.tolist()


def test_a_long_history_is_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pairs, "LONGEST", 2)
    x = groups()
    pairs = pairs_of(x, False)
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
    assert measured("loss after 30 steps, times the first", losses[30] / losses[0]) < 1
    assert measured("loss after 80 steps, times the first", losses[-1] / losses[0]) < 0.15


@pytest.mark.parametrize("with_content", [False, True])
def test_taught_layers_find_the_rest_of_a_users_group(
    tmp_path: Path, with_content: bool, seed: int, measured: Callable[[str, float], float]
) -> None:
    x, described = groups(seed=seed), csr_matrix((ITEMS, ATTRIBUTES), dtype=np.float32)
    known, graph = histories(x), Graph.of(x, described)
    start = np.random.default_rng(seed).standard_normal((ITEMS, WIDTH)).astype(np.float32)
    torch.manual_seed(seed)
    model = GraphAttention(CONFIG, start, ATTRIBUTES, content() if with_content else None)
    rest = cells(
        [sorted(set(range(6 * (u % 3), 6 * (u % 3) + 6)) - set(x[u].indices.tolist())) for u in range(len(known))], ITEMS
    )
    held = HeldOut.of(known, rest)
    before = model.items.weight.detach().clone()
    teach(model, known, graph, co_purchases(x, 0.4, 10), held.relevant.nonzero(), TRAINER, tmp_path)
    assert not torch.equal(model.items.weight, before)
    if model.project is not None:
        assert model.project.weight.detach().abs().sum() > 0
    listening = listen(model, graph)
    power, part = attention.chosen(listening, np.ones(ITEMS, np.float32), ITEMS, CONFIG, held, 10)
    assert power in CONFIG.item_powers
    assert part.share in (0.0, *CONFIG.cosine_shares)
    assert measured("nDCG", quality(part.scores, held, 10)) > 0.9
    assert measured("nDCG of the cosine", quality(lambda asked: part.halves(asked)[1].all(), held, 10)) > 0.7
