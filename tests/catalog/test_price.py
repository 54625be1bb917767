import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogueError
from catalog.price import PriceScaler


def test_the_scale_is_that_of_the_logarithm() -> None:
    scaler = PriceScaler.fit([np.e, np.e**3, 0.0, -4.0, np.nan, np.inf])
    assert scaler.mean == pytest.approx(2.0)
    assert scaler.std == pytest.approx(1.0)
    np.testing.assert_allclose(scaler.transform([np.e**2, np.e**5, 0, np.nan]), [0, 3, np.nan, np.nan], atol=1e-6)


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=30))
def test_inverse_undoes_transform(prices: list[float]) -> None:
    scaler = PriceScaler.fit(prices)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(prices)), prices, rtol=1e-4)
    assert PriceScaler.from_dict(json.loads(json.dumps(scaler.to_dict()))) == scaler


def test_equal_prices_do_not_divide_by_zero() -> None:
    assert np.isfinite(PriceScaler.fit([499.0, 499.0]).transform([499.0, 999.0])).all()


@pytest.mark.parametrize("prices", [[], [0.0, -1.0], [np.nan]])
def test_without_a_positive_price_there_is_no_scale(prices: list[float]) -> None:
    with pytest.raises(CatalogueError, match="is positive"):
        PriceScaler.fit(prices)


@pytest.mark.parametrize(
    "values", [{}, {"mean": 1.0}, {"mean": 1.0, "std": 0.0}, {"mean": float("nan"), "std": 1.0}, {"mean": "a", "std": 1.0}]
)
def test_a_damaged_scale_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(CatalogueError, match="price scale"):
        PriceScaler.from_dict(values)
