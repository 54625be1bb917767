import math

import pytest
import torch
from torch import Tensor

from models.product.heads.quality import (
    FLOOR,
    PartCheck,
    category_features,
    fault_losses,
    part_features,
    price_features,
)

PATHS = torch.tensor([[1, 1, 1], [1, 2, 2], [2, 3, 3]])


def logits(*views: tuple[float, float, float]) -> Tensor:
    """Of one listing (1, V, 3), from the probabilities of three paths, up to a constant."""
    return torch.tensor([views]).log() + 1.7


def test_part_features_by_hand() -> None:
    whole, title, photo = (0.5, 0.25, 0.25), (0.5, 0.25, 0.25), (0.25, 0.5, 0.25)
    embedding = torch.zeros(1, 5, 4)
    embedding[0, 0] = embedding[0, 1] = torch.tensor([1.0, 0, 0, 0])
    embedding[0, 3] = torch.tensor([0.6, 0.8, 0, 0])
    present = torch.tensor([[True, False, True, False]])
    found = part_features(logits(whole, title, photo, photo, photo), embedding, present)[0]
    # Overlap, log probability of the whole's answer / 4, confidence, cosines with the whole and with the title.
    assert found[0].tolist() == pytest.approx([1.0, math.log(0.5) / 4, 0.5, 1.0, 1.0], abs=1e-5)
    overlap = 2 * math.sqrt(0.5 * 0.25) + 0.25
    assert found[2].tolist() == pytest.approx([overlap, math.log(0.25) / 4, 0.5, 0.6, 0.6], abs=1e-5)
    assert not found[[1, 3]].any()


def test_an_impossible_answer_has_a_floor() -> None:
    sure = torch.tensor([[[0.0, 90.0, 0.0], [90.0, 0.0, 0.0], *[[0.0, 90.0, 0.0]] * 3]])
    found = part_features(sure, torch.zeros(1, 5, 4), torch.ones(1, 4, dtype=torch.bool))[0]
    assert found[0, 1].item() == FLOOR / 4
    assert found[1, 1].item() == pytest.approx(0)


def test_category_features_by_hand() -> None:
    views = logits((0.5, 0.3, 0.2), (0.1, 0.8, 0.1), *[(0.2, 0.2, 0.6)] * 3)
    found = category_features(views, PATHS, torch.tensor([[1, 2, 2]]))[0]
    # The article type in every view, then sub and master category in the whole, then whether a type is given.
    floor = 2 * math.exp(FLOOR)  # what the other paths are left with, each
    likely = [math.log(p + floor) / 4 for p in (0.3, 0.8, 0.2, 0.2, 0.2, 0.3)]
    assert found[:6].tolist() == pytest.approx(likely, abs=1e-4)
    assert found[6].item() == pytest.approx(math.log(0.8) / 4, abs=1e-4)
    assert found[7].item() == 1


def test_categories_that_are_not_given_say_nothing() -> None:
    views = logits(*[(0.5, 0.3, 0.2)] * 5)
    assert not category_features(views, PATHS, torch.zeros(1, 3, dtype=torch.int64)).any()
    master_only = category_features(views, PATHS, torch.tensor([[1, 0, 0]]))[0]
    assert master_only[6].item() == pytest.approx(math.log(0.8) / 4, abs=1e-4)
    assert not master_only[[0, 1, 2, 3, 4, 5, 7]].any()


def test_an_unlikely_category_is_told_from_a_likely_one() -> None:
    views = logits(*[(0.98, 0.01, 0.01)] * 5)
    right, wrong = (category_features(views, PATHS, torch.tensor([given]))[0, 0] for given in ([1, 1, 1], [2, 3, 3]))
    assert right > -0.01
    assert wrong < -1


def test_price_features_by_hand() -> None:
    price = torch.tensor([1.5, -1.0, math.nan, 50.0])
    found = price_features(price, torch.tensor([1.0, 0.0, 0.3, 0.0]), torch.tensor([0.25, 2.0, 1.0, 0.1]))
    assert found[0].tolist() == pytest.approx([0.5, 0.5, 0.4, 0.4])
    assert found[1].tolist() == pytest.approx([-1.0, 1.0, -0.1, 0.1])
    assert not found[2].any()
    assert found[3].tolist() == pytest.approx([50.0, 50.0, 4.0, 4.0])  # cut at 20 scales


def test_parts_are_judged_alike_and_the_worst_counts() -> None:
    torch.manual_seed(0)
    check, parts = PartCheck(16), torch.randn(1, 4, 5)
    everything = torch.ones(1, 4, dtype=torch.bool)
    found = check(parts, everything)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(check(parts[:, order], everything), found)
    alone = torch.stack([check(parts, torch.arange(4)[None] == i)[0] for i in range(4)])
    assert torch.allclose(found[0], torch.stack([check.layers(parts[0, i]) for i in range(4)]).amax(0))
    assert (alone >= 0).all()  # a missing part is no fault


def test_a_missing_part_is_not_judged() -> None:
    torch.manual_seed(0)
    check, parts = PartCheck(16), torch.randn(2, 4, 5)
    present = torch.tensor([[True, False, True, False], [False] * 4])
    other = torch.where(present[:, :, None], parts, 99.0)
    assert torch.equal(check(parts, present), check(other, present))
    assert not check(parts, present)[1].any()


def test_fault_losses_by_hand() -> None:
    faults = torch.tensor([[False, True], [False, False]])
    scores = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]])

    def cross_entropy(score: float, true: bool) -> float:
        return math.log1p(math.exp(-score if true else score))

    faulty = (cross_entropy(2.0, True) + cross_entropy(0.0, False)) / 2
    kinds = cross_entropy(-1.0, False) + cross_entropy(0.5, True) + cross_entropy(1.0, False) + cross_entropy(-3.0, False)
    assert fault_losses(scores, faults).item() == pytest.approx(faulty + kinds / 2, rel=1e-6)


def test_fault_losses_fall_with_the_truth() -> None:
    faults = torch.tensor([[False, True], [False, False]])
    right = torch.cat([faults.any(1, keepdim=True), faults], dim=1).float() * 20 - 10
    assert fault_losses(right, faults).item() < 1e-3
    assert fault_losses(-right, faults).item() > 10
