"""The transformer over histories as a part: what it reads, and how it goes on learning."""

from pathlib import Path

import numpy as np
import pytest
import sequence_cases
import torch
from recommender_cases import bare_items, cells, choice_of, histories_of, purchases_of, random_cells, settings_of
from sequence_cases import ITEMS, model_of, walkers

from models.recommender.held_out import HeldOut
from models.recommender.parts import sequence
from models.recommender.parts.sequence import NextItem, with_next

pytestmark = pytest.mark.trains

CONFIG = sequence_cases.CONFIG.model_copy(update={"epochs": 2})


def test_order_matters() -> None:
    part = NextItem.of(model_of())
    first, second = part.scores(histories_of([1, 2, 3], [2, 1, 3]))
    assert np.abs(first - second).max() > 1e-3


def test_padding_and_company_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    part, users = NextItem.of(model_of()), walkers()
    together = part.scores(users)
    alone = np.concatenate([part.scores(users.select([user])) for user in range(len(users))])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    monkeypatch.setattr(sequence, "USERS_A_BATCH", 7)
    np.testing.assert_allclose(part.scores(users), together, atol=1e-5)


def test_only_the_newest_items_are_read() -> None:
    part, items = NextItem.of(model_of()), list(range(12))
    np.testing.assert_allclose(part.scores(histories_of(items)), part.scores(histories_of(items[-8:])), atol=1e-5)


def test_without_a_history_nothing_is_expected() -> None:
    part = NextItem.of(model_of())
    scores = part.scores(histories_of([], [3], []))
    assert not scores[0].any()
    assert not scores[2].any()
    assert scores[1].std() > 0
    np.testing.assert_allclose(part.read(histories_of([3])).spread(), scores[1].std(), rtol=1e-4)


def test_scores_are_what_the_model_says_after_the_last_item() -> None:
    model = model_of()
    torch.nn.init.normal_(model.bias.weight)
    part = NextItem.of(model)
    with torch.inference_mode():
        state = model(torch.tensor([[4, 9, 2]]), model.vectors())[0, -1]
        expected = model.vectors() @ state + model.bias.weight[:, 0]
    np.testing.assert_allclose(part.scores(histories_of([4, 9, 2]))[0], expected.numpy(), atol=1e-5)


def test_a_restored_part_scores_the_same() -> None:
    attributes = random_cells(ITEMS, 6, 0.3, seed=1)
    part, users = NextItem.of(model_of(attributes)), walkers()
    restored = NextItem.restore(part.state(), CONFIG, bare_items(ITEMS, attributes))
    np.testing.assert_allclose(restored.scores(users), part.scores(users), atol=1e-6)
    with pytest.raises(RuntimeError, match="size mismatch"):
        NextItem.restore(part.state(), CONFIG.model_copy(update={"width": 32}), bare_items(ITEMS, attributes))


def test_possible_where_the_order_is_known_and_anybody_bought_twice() -> None:
    def possible(*lists: list[int], ordered: bool = True) -> bool:
        return NextItem.possible(purchases_of(*lists, items=bare_items(3), ordered=ordered), CONFIG)

    assert possible([0, 1], [2])
    assert not possible([0, 1], [2], ordered=False)
    assert not possible([0], [2])


def test_what_was_held_out_stands_behind_the_history() -> None:
    found = with_next(HeldOut.of(histories_of([1, 2], [3]), cells([[5], [0, 4]], 6)))
    assert [found.user(row)[0].tolist() for row in range(2)] == [[1, 2, 5], [3, 0, 4]]


def test_refitting_teaches_a_copy(tmp_path: Path) -> None:
    users = [list(found) for found in (range(0, 6), range(6, 12), range(3, 9), range(12, 18))]
    held = HeldOut.of(histories_of(*(row[:-1] for row in users)), cells([row[-1:] for row in users], ITEMS))
    training = purchases_of(*(row[:-1] for row in users), items=bare_items(ITEMS))
    part = NextItem.fit(training, choice_of(held), settings_of(tmp_path, CONFIG))
    before = {name: value.copy() for name, value in part.state().items()}
    again = part.refit(purchases_of(*users, items=bare_items(ITEMS)), settings_of(tmp_path, CONFIG))
    assert all((part.state()[name] == value).all() for name, value in before.items())
    assert any((again.state()[name] != value).any() for name, value in before.items())
    still = CONFIG.model_copy(update={"refit_epochs": 0})
    same = part.refit(training, settings_of(tmp_path / "other", still)).state()
    assert all((same[name] == value).all() for name, value in before.items())
