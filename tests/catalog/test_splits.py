import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogueError
from catalog.splits import for_test, split_products, split_reviews
from configs.schema import SplitConfig


def products(ids: object) -> pd.DataFrame:
    return pd.DataFrame({"product_id": ids})


@given(st.lists(st.integers(0, 10**9), unique=True, max_size=40), st.lists(st.integers(0, 10**9), max_size=40), st.randoms())
def test_adding_and_shuffling_rows_moves_no_product(old: list[int], new: list[int], random: object) -> None:
    before = dict(zip(old, split_products(products(old), SplitConfig()), strict=True))
    both = old + new
    random.shuffle(both)  # type: ignore[attr-defined]
    after = dict(zip(both, split_products(products(both), SplitConfig()), strict=True))
    assert {key: after[key] for key in old} == before


def test_shares_are_those_asked_for() -> None:
    shares = split_products(products(np.arange(50_000)), SplitConfig(validation=0.05, test=0.2)).value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.01)
    assert shares["validation"] == pytest.approx(0.05, abs=0.01)


def test_integers_and_their_strings_fall_together() -> None:
    ids = np.arange(1000)
    assert (
        split_products(products(ids), SplitConfig()).tolist() == split_products(products(ids.astype(str)), SplitConfig()).tolist()
    )


def test_reviews_split_by_their_own_ids_however_products_split() -> None:
    ids = np.arange(2000)
    by_hash = split_reviews(pd.DataFrame({"review_id": ids}, index=ids + 5), SplitConfig())
    assert by_hash.index.tolist() == (ids + 5).tolist()
    assert by_hash.tolist() == split_products(products(ids), SplitConfig()).tolist()
    assert split_reviews(pd.DataFrame({"review_id": ids}), SplitConfig(by="time")).tolist() == by_hash.tolist()
    later = split_reviews(pd.DataFrame({"review_id": ids[::-2].astype(str)}), SplitConfig())
    assert later.tolist() == by_hash.tolist()[::-2]


def test_another_salt_is_another_split() -> None:
    ids = products(np.arange(1000))
    assert split_products(ids, SplitConfig()).tolist() != split_products(ids, SplitConfig(salt="other")).tolist()


def test_the_index_is_kept_and_all_may_be_training() -> None:
    frame = products([4, 5, 6]).set_index(pd.Index([9, 3, 7]))
    split = split_products(frame, SplitConfig(validation=0, test=0))
    assert split.index.tolist() == [9, 3, 7]
    assert set(split) == {"train"}
    assert len(split_products(frame.head(0), SplitConfig())) == 0


def test_by_time_the_newest_are_test() -> None:
    days = pd.to_datetime(["2024-01-05", "2024-01-01", "2024-01-04", "2024-01-02", "2024-01-03"], utc=True)
    frame = products(range(5)).assign(listed_at=days)
    assert split_products(frame, SplitConfig(by="time", validation=0.2, test=0.2)).tolist() == [
        "test",
        "train",
        "validation",
        "train",
        "train",
    ]


def test_by_time_one_instant_stays_together() -> None:
    frame = products(range(10)).assign(listed_at=pd.Timestamp("2024-01-01", tz="UTC"))
    assert set(split_products(frame, SplitConfig(by="time"))) == {"train"}


def test_by_time_needs_every_date() -> None:
    frame = products(range(3)).assign(listed_at=pd.to_datetime(["2024-01-05", None, None], utc=True))
    with pytest.raises(CatalogueError, match="missing in 2 of 3 products"):
        split_products(frame, SplitConfig(by="time"))
    with pytest.raises(CatalogueError, match="missing in 3 of 3 products"):
        split_products(products(range(3)), SplitConfig(by="time"))


def marked(*parts: str | None) -> pd.DataFrame:
    return products(np.arange(len(parts))).assign(split=pd.Series(parts, dtype=object))


def test_a_published_split_is_kept_as_it_is() -> None:
    said = ["test", "train", "validation", "train", "test"] * 40
    assert split_products(marked(*said), SplitConfig()).tolist() == said
    by_time = marked(*said)  # no listed_at is needed where every row says its part
    assert split_products(by_time, SplitConfig(by="time")).tolist() == said


def test_validation_is_drawn_by_hash_from_what_is_published_as_train(caplog: pytest.LogCaptureFixture) -> None:
    frame = marked(*["train", "train", "train", "test"] * 2000)
    found = split_products(frame, SplitConfig(validation=0.1, test=0.2))
    assert (found[frame["split"] == "test"] == "test").all()
    drawn = found[frame["split"] == "train"].value_counts(normalize=True)
    assert set(drawn.index) == {"train", "validation"}  # test was published: none is added
    assert drawn["validation"] == pytest.approx(0.1, abs=0.01)
    assert "no product is marked validation; split.validation = 0.1 of those marked train" in caplog.text
    pd.testing.assert_series_equal(found.head(3000), split_products(frame.head(3000), SplitConfig(validation=0.1, test=0.2)))


def test_rows_without_a_value_are_divided_by_the_configured_rule(caplog: pytest.LogCaptureFixture) -> None:
    frame = marked(*["train", "validation", "test", None, ""] * 500)
    found = split_products(frame, SplitConfig())
    given = frame["split"].isin(["train", "validation", "test"])
    assert found[given].tolist() == frame.loc[given, "split"].tolist()
    assert found[~given].tolist() == split_products(frame.loc[~given, ["product_id"]], SplitConfig()).tolist()
    assert "1,000 products have no value in split; they are divided by hash" in caplog.text


@pytest.mark.parametrize(
    ("parts", "tested"),
    [
        (("train", "test", None, "validation"), [False, True, True, False]),
        (("train", None, "validation"), [True, True, True]),  # the test part is empty: it is drawn from the others
        ((None, None), [True, True]),
    ],
)
def test_a_published_split_says_what_may_be_tested(parts: tuple[str | None, ...], tested: list[bool]) -> None:
    frame = marked(*parts)
    assert for_test(frame).tolist() == tested
    assert for_test(frame.drop(columns="split")).all()
    assert for_test(frame[:0]).empty


def test_rows_of_one_id_are_in_one_part() -> None:
    frame = marked("train", "test", None, "train").assign(product_id=[1, 1, 1, 2])
    assert split_products(frame, SplitConfig()).tolist()[:3] == ["train"] * 3


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (("train", "dev", "Test"), r"products\.split says 'dev', 'Test' in 2 rows; allowed: train, validation, test"),
        (("test", "validation"), "names no row for train, only 1 validation, 1 test"),
    ],
)
def test_a_split_that_cannot_be_kept_is_refused(parts: tuple[str, ...], says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        split_products(marked(*parts), SplitConfig())
