import math

import numpy as np
import pandas as pd
import pytest

from models.evaluation import bootstrap, metrics
from models.evaluation.comparison import independent_difference, reading, shared_rows
from models.evaluation.results import Metric
from models.evaluation.slices import NO_BRAND, NO_PRICE, PriceBands, brand_tier, head_brands, slice_metrics


def test_interval_of_a_share_is_the_normal_one():
    n, share = 2000, 0.3
    values = np.zeros(n)
    values[: int(n * share)] = 1.0
    metric = bootstrap.mean_interval(values, samples=4000, seed=1)
    half = 1.96 * math.sqrt(share * (1 - share) / n)
    assert metric.value == pytest.approx(share)
    assert metric.low == pytest.approx(share - half, abs=0.1 * half)
    assert metric.high == pytest.approx(share + half, abs=0.1 * half)
    assert metric.n == n


def test_interval_covers_the_truth_in_95_per_cent():
    generator = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        metric = bootstrap.mean_interval(generator.exponential(2.0, 300), samples=200, seed=seed)
        inside += metric.low <= 2.0 <= metric.high
    assert 180 <= inside <= 199  # binomial(200, 0.95), a little short for a skewed population


def test_statistic_and_mean_use_the_same_resamples():
    generator = np.random.default_rng(2)
    values = generator.random(50)
    slow = bootstrap.interval(lambda v: float(np.mean(v)), values, samples=300, seed=3)
    assert slow.model_dump() == pytest.approx(bootstrap.mean_interval(values, samples=300, seed=3).model_dump())


def test_same_seed_same_interval_other_seed_another():
    values = np.random.default_rng(4).random(80)
    assert bootstrap.mean_interval(values, seed=1) == bootstrap.mean_interval(values, seed=1)
    assert bootstrap.mean_interval(values, seed=1) != bootstrap.mean_interval(values, seed=2)


def test_rows_of_all_arrays_are_resampled_together():
    values = np.random.default_rng(5).random(100)
    metric = bootstrap.interval(lambda a, b: float(np.abs(a - b).max()), values, values)
    assert (metric.low, metric.high) == (0.0, 0.0)


def test_macro_f1_interval_holds_its_value_despite_rare_classes():
    generator = np.random.default_rng(6)
    true = np.minimum(generator.geometric(0.15, 400), 30).astype(str)
    predicted = np.where(generator.random(400) < 0.8, true, "1")
    metric = bootstrap.macro_f1_interval(true, predicted)
    assert metric.value == metrics.macro_f1(true, predicted)
    assert 0.0 <= metric.low < metric.value < metric.high <= 1.0


def test_calibration_interval_holds_its_value():
    generator = np.random.default_rng(7)
    confidence = generator.random(500)
    metric = bootstrap.calibration_error_interval(confidence, generator.random(500) < confidence)
    assert metric.low < metric.value < metric.high


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], [float("inf")]])
def test_what_cannot_be_measured_has_no_value(values):
    assert bootstrap.mean_interval(values) == Metric(value=None, n=len(values))
    assert bootstrap.interval(lambda v: float(np.mean(v)), values) == Metric(value=None, n=len(values))


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        bootstrap.interval(metrics.rmsle, [1, 2, 3], [1, 2])


def test_independent_difference_adds_variances():
    difference = independent_difference(
        Metric(value=0.9, low=0.87, high=0.93, n=10), Metric(value=0.8, low=0.76, high=0.84, n=20)
    )
    assert difference.value == pytest.approx(0.1)
    assert difference.high - difference.low == pytest.approx(2 * 0.05)  # √(0.03² + 0.04²) each way
    assert independent_difference(Metric(value=None), Metric(value=1.0)).value is None
    assert independent_difference(Metric(value=1.0), Metric(value=0.5)) == Metric(value=0.5)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (0.01, 0.03, "higher", "better"),
        (0.01, 0.03, "lower", "worse"),
        (-0.03, -0.01, "higher", "worse"),
        (-0.03, -0.01, "lower", "better"),
        (-0.01, 0.02, "higher", "unclear"),
        (0.01, 0.03, None, None),
        (None, None, "higher", None),
    ],
)
def test_reading_follows_the_direction(low, high, better, word):
    assert reading(Metric(value=0.0, low=low, high=high), better) == word


def test_shared_rows_are_in_one_order_without_repeats():
    a = pd.DataFrame({"product_id": [1, 2, 3, 3], "x": [10, 20, 30, 31]})
    b = pd.DataFrame({"product_id": [2, 1, 3, 4], "x": [2, 1, 3, 4]})
    new, old = shared_rows(a, b)
    assert new["x"].tolist() == [10, 20]
    assert old["x"].tolist() == [1, 2]


def test_price_bands_are_round_and_hold_similar_numbers():
    prices = np.random.default_rng(8).lognormal(7, 0.8, 5000).round()
    bands = PriceBands.fit(prices)
    names = bands.label(pd.Series(prices))
    assert len(bands.labels) == 5
    assert names.value_counts().drop(NO_PRICE).min() > 500
    assert all(len(f"{edge:g}".strip("0")) <= 2 for edge in bands.edges)


def test_price_band_labels_are_half_open_and_ordered():
    bands = PriceBands((500.0, 1000.0))
    names = bands.label(pd.Series([499.0, 500.0, 999.0, 1000.0, 0.0, None, -5.0]))
    assert names.tolist() == ["under 500", "500–999", "500–999", "1000 and over", NO_PRICE, NO_PRICE, NO_PRICE]
    assert names.cat.categories.tolist() == ["under 500", "500–999", "1000 and over", NO_PRICE]


@pytest.mark.parametrize("prices", [[], [0.0, np.nan], [7.0, 7.0, 7.0]])
def test_price_bands_without_spread_are_one_band(prices):
    assert PriceBands.fit(prices).labels == ("any price",)


def test_head_brands_hold_half_of_the_rows():
    brands = pd.Series(["a"] * 40 + ["b"] * 30 + ["c"] * 20 + ["d"] * 10 + [None] * 50)
    head = head_brands(brands)
    assert head == {"a", "b"}
    assert brand_tier(pd.Series(["a", "d", "new", None]), head).tolist() == ["head", "tail", "tail", NO_BRAND]


def test_slices_below_the_minimum_are_left_out():
    frame = pd.DataFrame(
        {"kind": ["a"] * 5 + ["b"] * 2 + [None], "photo": [True] * 4 + [False] * 4, "hit": [1, 1, 1, 1, 0, 0, 0, 0]}
    )
    found = slice_metrics(frame, ["kind", "photo"], {"accuracy": lambda rows: bootstrap.mean_interval(rows["hit"])}, min_rows=3)
    assert [(s.slice, s.value, s.result.value, s.result.n) for s in found] == [
        ("kind", "a", 0.8, 5),
        ("photo", "no", 0.0, 4),
        ("photo", "yes", 1.0, 4),
    ]


def test_ordered_categories_keep_their_order():
    bands = PriceBands((500.0, 1000.0))
    frame = pd.DataFrame({"price_band": bands.label(pd.Series([2000.0, 600.0, 100.0]))})
    found = slice_metrics(frame, ["price_band"], {"rows": lambda rows: Metric(value=float(len(rows)))}, min_rows=1)
    assert [s.value for s in found] == ["under 500", "500–999", "1000 and over"]
