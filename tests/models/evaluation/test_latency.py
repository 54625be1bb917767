"""Answers are timed as a worker gives them."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from configs.schema import EvaluationConfig
from models.evaluation.latency import latency_metrics, one_thread
from models.recommender import evaluate


class Keys(list[str]):
    """Items that have nothing but keys."""

    @property
    def keys(self) -> list[str]:
        return list(self)


@pytest.fixture
def two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_median_and_95th_percentile() -> None:
    found = latency_metrics([float(n) for n in range(1, 101)])
    assert found["latency_p50_ms"].value == pytest.approx(50.5)
    assert found["latency_p95_ms"].value == pytest.approx(95.05)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_given_back_after_an_error() -> None:
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_recommender_is_timed_on_one_thread() -> None:
    threads: list[int] = []
    predictor: Any = SimpleNamespace(recommend=lambda _: threads.append(torch.get_num_threads()))
    items: Any = Keys(["a", "b"])
    found = evaluate._latency(predictor, items, pd.Series(["u", "v"]), EvaluationConfig(latency_calls=5))
    assert threads == [1] * 5
    assert found["latency_p50_ms"].value > 0
    assert torch.get_num_threads() == 2
