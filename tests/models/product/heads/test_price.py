import numpy as np
import pytest

from models.product.heads.price import conformal_quantile


def test_conformal_quantile_by_hand_and_by_coverage() -> None:
    assert conformal_quantile(np.arange(1, 10, dtype=np.float32), 0.9) == 9.0  # ⌈10 · 0.9⌉ = 9th of 9
    assert conformal_quantile(np.arange(1, 20, dtype=np.float32), 0.9) == 18.0
    assert conformal_quantile(np.zeros(0, dtype=np.float32), 0.9) == 1.0
    rng = np.random.default_rng(0)
    covered = [
        np.mean(rng.exponential(size=400) <= conformal_quantile(rng.exponential(size=200).astype(np.float32), 0.9))
        for _ in range(300)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
