import math

import pytest
import torch
from torch import Tensor

from models.training.balancing import LOG_VARIANCE_LIMIT, Balancer, BalancingError, DynamicWeightAverage, Uncertainty, balancer


def losses(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def test_fixed_weights_add_what_is_there() -> None:
    fixed = balancer("fixed", {"type": 2.0, "price": 0.5})
    assert fixed(losses(type=1.0, price=4.0)).item() == pytest.approx(4.0)
    assert fixed(losses(price=4.0)).item() == pytest.approx(2.0)
    assert list(fixed.parameters()) == []


def test_log_variances_find_the_size_of_each_loss() -> None:
    """With L constant, L · exp(-s) + s / 2 is least at s = log 2L, whatever the base weight."""
    learnt = balancer("uncertainty", {"type": 1.0, "price": 0.2})
    assert isinstance(learnt, Uncertainty)
    assert learnt(losses(type=1.0, price=4.0)).item() == pytest.approx(1.8)  # s starts at 0
    optimizer = torch.optim.Adam(learnt.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        learnt(losses(type=0.3, price=4.0)).backward()
        optimizer.step()
    assert learnt.log_variance("type").item() == pytest.approx(math.log(0.6), abs=0.01)
    assert learnt.log_variance("price").item() == pytest.approx(math.log(8.0), abs=0.01)
    assert learnt(losses(price=4.0)).item() == pytest.approx(0.2 * (0.5 + math.log(8.0) / 2), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_loss_of_zero_or_less_cannot_run_away(value: float) -> None:
    learnt = balancer("uncertainty", {"price": 1.0})
    assert isinstance(learnt, Uncertainty)
    optimizer = torch.optim.SGD(learnt.parameters(), lr=10.0)
    for _ in range(200):
        optimizer.zero_grad()
        total = learnt(losses(price=value))
        total.backward()
        optimizer.step()
    assert abs(learnt.log_variance("price").item()) <= LOG_VARIANCE_LIMIT
    assert total.item() >= value * math.exp(LOG_VARIANCE_LIMIT) - LOG_VARIANCE_LIMIT / 2


def test_an_absent_term_is_not_learnt_from() -> None:
    learnt = balancer("uncertainty", {"type": 1.0, "price": 1.0})
    learnt(losses(type=2.0)).backward()
    (gradient,) = (p.grad for p in learnt.parameters())
    assert gradient is not None
    assert gradient.tolist() == [pytest.approx(-1.5), 0.0]  # d/ds (2 exp(-s) + s / 2) at 0


def epoch(average: Balancer, *batches: dict[str, Tensor]) -> None:
    for batch in batches:
        average(batch)
    average.epoch_ended()


def test_dynamic_weights_by_hand() -> None:
    average = balancer("dwa", {"type": 1.0, "price": 0.5})
    assert isinstance(average, DynamicWeightAverage)
    assert average(losses(type=3.0, price=3.0)).item() == pytest.approx(4.5)
    average.epoch_ended()
    assert average.factors().tolist() == [1.0, 1.0]  # one epoch has no ratio yet
    epoch(average, losses(type=1.0, price=3.0), losses(type=2.0))
    ratios = [math.exp(1.5 / 3 / 2), math.exp(3 / 3 / 2)]
    expected = [2 * ratio / sum(ratios) for ratio in ratios]
    assert average.factors().tolist() == pytest.approx(expected)
    assert average(losses(price=4.0)).item() == pytest.approx(0.5 * expected[1] * 4.0)


def test_dynamic_weights_do_not_count_what_is_not_training() -> None:
    average = balancer("dwa", {"type": 1.0})
    assert isinstance(average, DynamicWeightAverage)
    average(losses(type=2.0))
    average.eval()(losses(type=100.0))
    average.train()
    with torch.no_grad():
        average(losses(type=100.0))
    average.epoch_ended()
    assert average.last.tolist() == [2.0]


def test_an_epoch_without_a_term_keeps_its_means() -> None:
    average = balancer("dwa", {"type": 1.0, "price": 1.0})
    assert isinstance(average, DynamicWeightAverage)
    for price in (4.0, 2.0):
        epoch(average, losses(type=1.0, price=price))
    before = average.factors().tolist()
    epoch(average, losses(type=1.0))
    assert average.factors().tolist() == before
    epoch(average, losses(type=1.0, price=-2.0))  # no ratio of a mean below 0
    assert average.factors().tolist() == [1.0, 1.0]


def test_dynamic_weights_resume_from_their_state() -> None:
    weights = {"type": 1.0, "price": 1.0}
    first, second = balancer("dwa", weights), balancer("dwa", weights)
    epoch(first, losses(type=1.0, price=4.0))
    first(losses(type=0.5, price=3.0))
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        epoch(average, losses(type=0.1, price=2.0))
    assert isinstance(first, DynamicWeightAverage)
    assert isinstance(second, DynamicWeightAverage)
    assert first.factors().tolist() == second.factors().tolist() != [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "weights", "told"),
    [
        ("gradnorm", {"type": 1.0}, "no loss strategy 'gradnorm'; there are fixed, uncertainty, dwa"),
        ("fixed", {"type": -1.0, "price": 1.0}, r"0 or more.*\{'type': -1.0\}"),
        ("fixed", {"type": math.nan}, "0 or more"),
        ("dwa", {"type": 0.0}, "one at least is above 0"),
        ("dwa", {}, "one at least is above 0"),
    ],
)
def test_strategies_and_weights_that_make_no_sense(name: str, weights: dict[str, float], told: str) -> None:
    with pytest.raises(BalancingError, match=told):
        balancer(name, weights)


@pytest.mark.parametrize("name", ["fixed", "uncertainty", "dwa"])
def test_terms_that_cannot_be_added(name: str) -> None:
    strategy = balancer(name, {"type": 1.0, "price": 1.0})
    with pytest.raises(BalancingError, match="no weight for the loss colour; there are weights for type, price"):
        strategy(losses(type=1.0, colour=1.0))
    with pytest.raises(BalancingError, match="no loss in this batch; it needs labels for one at least of type, price"):
        strategy({})
