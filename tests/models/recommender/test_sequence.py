"""The transformer over histories: causal, blind to padding, and able to learn what follows what."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from recommender_cases import cells, histories_of
from scipy.sparse import csr_matrix
from sequence_cases import CONFIG, ITEMS, model_of, walkers
from torch.nn import functional as F

from configs.schema import TrainerConfig
from models.evaluation.metrics import ndcg_at_k
from models.recommender.interactions import Histories
from models.recommender.parts.sequence import NextItem
from models.recommender.sequence import NextItemTask, SequenceNetwork, Sequences, train

pytestmark = pytest.mark.trains

TRAINER = TrainerConfig(ema_decay=0.0, workers=0, tensorboard=False, precision="32-true")


def test_a_later_item_changes_no_earlier_state() -> None:
    model = model_of()
    codes = torch.arange(7)[None]
    changed = codes.clone()
    changed[0, 4] = 20
    with torch.inference_mode():
        before, after = (model(rows, model.vectors()) for rows in (codes, changed))
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(-1).min() > 1e-3


def test_an_items_vector_is_its_own_and_the_mean_of_its_attributes() -> None:
    model = model_of(cells([[0, 2], [], [1]], 3))
    own, values = model.items.weight, model.values.weight
    expected = torch.stack([own[0] + (values[0] + values[2]) / 2, own[1], own[2] + values[1]])
    torch.testing.assert_close(model.vectors(), expected)


def test_items_without_any_attributes() -> None:
    model = model_of(csr_matrix((ITEMS, 0), dtype=np.float32))
    torch.testing.assert_close(model.vectors(), model.items.weight)


def test_the_loss_is_the_cross_entropy_of_every_next_item() -> None:
    model, users = model_of(), histories_of([3, 1, 4, 15], [9, 2])
    alone = Sequences(users, ITEMS, CONFIG, seed=0, last_alone=True)
    everything = CONFIG.model_copy(update={"negatives": ITEMS})
    each = Sequences(users, ITEMS, everything, seed=0)
    logits = []
    with torch.inference_mode():
        for row in ([3, 1, 4], [9]):
            states = model(torch.tensor([row]), model.vectors())[0]
            logits.append(states @ model.vectors().T + model.bias.weight[:, 0])
        last = F.cross_entropy(torch.stack([logits[0][-1], logits[1][-1]]), torch.tensor([15, 2]))
        for user, (rows, targets) in enumerate(zip(logits, ([1, 4, 15], [2]), strict=True)):
            found = NextItemTask(model).training_loss(each.__getitems__([(0, user)]), torch.Generator())["loss"]
            assert found.item() == pytest.approx(F.cross_entropy(rows, torch.tensor(targets)).item(), rel=1e-5)
        validation = NextItemTask(model).validation_loss(alone.__getitems__([(0, 0), (0, 1)]))
    assert validation["cross_entropy"].item() == pytest.approx(last.item(), rel=1e-5)
    ranks = [int((rows[-1] > rows[-1][item]).sum()) for rows, item in zip(logits, (15, 2), strict=True)]
    assert validation["loss"].item() == pytest.approx(1 - float(ndcg_at_k(np.array(ranks), 20).mean()))


def test_a_drawn_softmax_holds_every_target() -> None:
    count = 500
    rng = np.random.default_rng(0)
    users = histories_of(*(rng.permutation(count)[: rng.integers(2, 9)].tolist() for _ in range(20)))
    rows = Sequences(users, count, CONFIG, seed=0)
    batch = rows.__getitems__([(0, index) for index in range(20)])
    items = batch.items.tolist()
    assert items == sorted(set(items))
    assert set(batch.codes[batch.there].tolist()) <= set(items)
    assert len(items) < count
    again, later = (rows.__getitems__([(epoch, index) for index in range(20)]) for epoch in (0, 1))
    assert again.items.tolist() == items
    assert later.items.tolist() != items
    alone = Sequences(users, count, CONFIG, seed=0, last_alone=True).__getitems__([(-1, 0)])
    assert alone.items.tolist() == list(range(count))


def test_a_drawn_softmax_is_the_whole_one_on_average() -> None:
    count = 500
    users = histories_of(*(np.random.default_rng(0).permutation(count)[:6].tolist() for _ in range(20)))
    rows = Sequences(users, count, CONFIG.model_copy(update={"negatives": 200}), seed=0)
    weights = np.random.default_rng(1).exponential(size=count)
    sums = []
    for epoch in range(200):
        batch = rows.__getitems__([(epoch, index) for index in range(20)])
        assert np.exp(batch.shift.numpy()).sum() == pytest.approx(count, rel=1e-4)
        sums.append((weights[batch.items.numpy()] * np.exp(batch.shift.numpy())).sum())
    assert np.mean(sums) == pytest.approx(weights.sum(), rel=0.01)


def test_users_with_one_item_say_nothing_of_the_next() -> None:
    rows = Sequences(histories_of([1, 2], [3], [], [4, 5, 6]), ITEMS, CONFIG, seed=0)
    assert len(rows) == 2
    assert rows.users.tolist() == [0, 3]


def test_long_histories_are_asked_for_as_many_next_items_as_are_read() -> None:
    batch = Sequences(histories_of(list(range(12))), ITEMS, CONFIG, seed=0).__getitems__([(0, 0)])
    assert batch.codes.tolist() == [list(range(3, 12))]  # eight that are read, and the one after


@pytest.mark.slow
def test_loss_falls_and_a_batch_is_overfitted(seed: int, measured: Callable[[str, float], float]) -> None:
    model = model_of(seed=seed).train()
    rows = Sequences(walkers(12, seed=seed), ITEMS, CONFIG, seed=seed)
    batch = rows.__getitems__([(0, index) for index in range(len(rows))])
    task, optimizer, losses = NextItemTask(model), torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(150):
        loss = task.training_loss(batch, torch.Generator())["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert measured("loss after 20 steps, times the first", losses[20] / losses[0]) < 0.5  # 0.11–0.18
    assert measured("loss after 150 steps, times the first", losses[-1] / losses[0]) < 0.1  # 0.005–0.014


def followers(users: int, seed: int) -> Histories:
    """Pairs in random order; an even item is always followed by the next odd one."""
    rng = np.random.default_rng(seed)
    return histories_of(
        *([int(i) for first in 2 * rng.permutation(ITEMS // 2)[:4] for i in (first, first + 1)] for _ in range(users))
    )


@pytest.mark.slow
def test_learns_what_follows_what(tmp_path: Path, seed: int, measured: Callable[[str, float], float]) -> None:
    torch.manual_seed(seed)
    model = SequenceNetwork(CONFIG, csr_matrix((ITEMS, 0), dtype=np.float32))
    train(model, followers(150, seed=2 * seed), followers(30, seed=2 * seed + 1), 20, TRAINER, tmp_path)
    first = np.arange(0, ITEMS, 2)
    asked = histories_of(*([(item + 8) % ITEMS, (item + 9) % ITEMS, item] for item in first.tolist()))
    right = NextItem.of(model).scores(asked).argmax(axis=1) == first + 1
    assert measured("share of next items that come first", right.mean()) > 0.9  # 1.000
