"""Purchases and events: bots, order, items that nothing else knows; and the real ones, which are people's."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.schema import ValidationConfig
from data_validation.interactions import bursts, plausible
from data_validation.results import ValidationRun
from data_validation.run import validate

NOW = datetime(2024, 6, 1, tzinfo=UTC)
START = pd.Timestamp("2023-09-01", tz="UTC")
DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
Deliver = Callable[[dict[str, pd.DataFrame]], Catalogue]


def run(delivered: Deliver, tables: dict[str, pd.DataFrame], **config: Any) -> ValidationRun:
    return validate(delivered(tables), ValidationConfig(**config), now=NOW)


def failed(outcome: ValidationRun) -> set[tuple[str, str]]:
    return {(check.table, check.rule) for check in outcome.result.failures()}


def crowd(users: int = 300, seed: int = 0) -> pd.DataFrame:
    """People who buy a few things, some of them many."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(5 + np.round(rng.lognormal(1.2, 1.0, users)).astype(int), 150)
    user = np.repeat(np.arange(users), counts)
    return pd.DataFrame({"user_id": user, "item_id": rng.permutation(len(user))})


def with_bot(people: pd.DataFrame, rows: int, **columns: Any) -> pd.DataFrame:
    bot = pd.DataFrame({"user_id": 9999, "item_id": np.arange(rows) + 100_000} | columns)
    return pd.concat([people, bot], ignore_index=True)


def test_a_crowd_of_people_holds_no_bot(delivered: Deliver) -> None:
    outcome = run(delivered, {"purchases": crowd()})
    assert failed(outcome) == {("purchases", "optional columns hold values")}
    assert outcome.quarantine.empty


def test_a_user_who_buys_more_than_people_do_is_quarantined_with_all_its_rows(delivered: Deliver) -> None:
    people = crowd()
    outcome = run(delivered, {"purchases": with_bot(people, 1500)}, max_quarantined=0.5)
    assert outcome.result.passed
    assert outcome.rows_of("purchases") == list(range(len(people), len(people) + 1500))
    (rule,) = outcome.quarantine["rule"].unique()
    assert rule == "user buys no more than people do"
    assert "1,500 rows of one user, plausible are up to" in outcome.quarantine["reason"].iat[0]


def test_the_absolute_bound_holds_whatever_the_others_do(delivered: Deliver) -> None:
    outcome = run(delivered, {"purchases": with_bot(crowd(), 300)}, max_user_purchases=250, max_quarantined=0.5)
    assert outcome.quarantine["key"].str.startswith("9999/").all()
    assert len(outcome.quarantine) == 300


def test_few_rows_are_never_a_bots(delivered: Deliver) -> None:
    people = pd.DataFrame({"user_id": np.arange(200), "item_id": np.arange(200)})
    assert run(delivered, {"purchases": with_bot(people, 200)}).quarantine.empty
    assert len(run(delivered, {"purchases": with_bot(people, 201)}, max_quarantined=0.9).quarantine) == 201


def test_plausible_by_hand() -> None:
    counts = np.array([10] * 80 + [40] * 20)
    assert plausible(counts, 2.0) == 160  # ten times four squared
    assert plausible(np.full(50, 8), 3.0) == 27  # all alike: half as much again three times, rounded down
    assert plausible(np.append(counts, [10**6] * 5), 2.0) == 160  # bots do not move it
    assert plausible(np.append(np.ones(120), [10.0**6] * 80), 20.0) > 10**17


@pytest.mark.parametrize("gap", [0.5, 1.0, 2.0])
def test_purchases_faster_than_a_person_are_quarantined(delivered: Deliver, gap: float) -> None:
    people = crowd()
    people["timestamp"] = START + pd.to_timedelta(np.arange(len(people)), unit="h")
    times = START + pd.to_timedelta(np.arange(60) * gap, unit="s")
    outcome = run(delivered, {"purchases": with_bot(people, 60, timestamp=times)})
    assert set(outcome.quarantine["rule"]) == {"user makes at most 20 purchases a minute"}
    assert outcome.rows_of("purchases") == list(range(len(people), len(people) + 60))


@pytest.mark.parametrize("gap", [pd.Timedelta(0), pd.Timedelta("4s"), pd.Timedelta("1D")])
def test_a_basket_a_quick_buyer_and_a_daily_one_are_no_bots(delivered: Deliver, gap: pd.Timedelta) -> None:
    people = crowd()
    people["timestamp"] = (START + pd.to_timedelta(np.arange(len(people)), unit="h")).floor("D")
    assert run(delivered, {"purchases": with_bot(people, 60, timestamp=START + np.arange(60) * gap)}).quarantine.empty


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_bursts_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    user = pd.Series(rng.integers(0, 4, 300), dtype="float64").mask(rng.random(300) < 0.05)
    seconds = pd.Series(rng.integers(0, 600, 300))
    moment = (START + pd.to_timedelta(seconds + rng.random(300) * 0.9, unit="s")).astype("datetime64[us, UTC]")
    moment = pd.Series(moment).mask(rng.random(300) < 0.05)
    expected = []
    for row in range(300):
        same = (user == user[row]) & moment.notna() & moment.notna()[row]
        windows = [same & (seconds >= start) & (seconds < start + 60) for start in range(seconds[row] - 59, seconds[row] + 1)]
        expected.append(any(seconds[window].nunique() > 8 for window in windows))
    assert 0 < sum(expected) < 300
    assert bursts(user, moment, 8).tolist() == expected


@pytest.mark.slow
def test_events_of_a_bot_are_quarantined_and_stop_nothing(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    times = START + pd.to_timedelta(np.arange(300), unit="s")
    item = (np.arange(300) % 100 + 1).astype(str)
    bot = pd.DataFrame({"user_id": "bot", "item_id": item, "kind": "view", "timestamp": times})
    outcome = run(delivered, tables | {"events": pd.concat([tables["events"], bot], ignore_index=True)})
    assert outcome.result.passed
    assert outcome.rows_of("events") == list(range(60, 360))
    assert failed(outcome) == {
        ("events", "user does no more than people do"),
        ("events", "user makes at most 45 events a minute"),
        ("events", "at most 20 % of rows in quarantine"),
    }


@pytest.mark.slow
def test_events_of_another_catalogue_stop_nothing(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, tables | {"events": tables["events"].assign(item_id="of another shop")})
    assert outcome.result.passed
    assert outcome.result.quarantined["events"] == 60


@pytest.mark.slow
def test_a_repeated_event_is_kept_once(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    events = pd.concat([tables["events"], tables["events"].iloc[[5]]], ignore_index=True)
    outcome = run(delivered, tables | {"events": events})
    assert outcome.quarantine[["row", "key", "rule"]].values.tolist() == [[60, "1/46/purchase", "event is listed once"]]


@pytest.mark.slow
def test_without_products_unknown_items_are_warnings(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    chosen = {name: tables[name] for name in ("purchases", "purchases_test", "item_attributes", "events")}
    chosen["item_attributes"] = chosen["item_attributes"].iloc[:80]
    chosen["events"] = chosen["events"].assign(item_id=(np.arange(60) + 60).astype(str))
    outcome = run(delivered, chosen)
    assert outcome.quarantine.empty
    found = {(c.table, c.rule): c.failed_rows for c in outcome.result.failures()}
    assert found == {
        ("purchases", "item_id has attributes"): 20,
        ("purchases_test", "item_id has attributes"): 4,
        ("events", "item_id has purchases or attributes"): 19,
    }
    attributes = tables["item_attributes"]
    only = run(delivered, {"purchases": tables["purchases"], "item_attributes": attributes})
    assert ("item_attributes", "item_id is in purchases") in failed(only)


@pytest.mark.slow
def test_a_missing_id_does_not_make_the_other_ids_unknown(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    purchases = tables["purchases"].astype({"item_id": "Int64"})
    purchases.loc[3, "item_id"] = None
    outcome = run(delivered, tables | {"purchases": purchases})
    assert outcome.rows_of("purchases") == [3]
    assert set(outcome.quarantine["rule"]) == {"item_id is given"}


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "gowalla").is_dir(), reason=f"no real data in {DATA}")
def test_gowalla_is_peoples() -> None:
    outcome = validate(Catalogue.open(DATA / "gowalla"), ValidationConfig())
    assert outcome.quarantine.empty
    assert failed(outcome) == {("purchases", "optional columns hold values")}


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "amazon_beauty").is_dir(), reason=f"no real data in {DATA}")
def test_amazons_purchases_are_peoples() -> None:
    outcome = validate(Catalogue.open(DATA / "amazon_beauty"), ValidationConfig())
    assert outcome.result.quarantined == {"purchases": 0, "item_attributes": 5}
    assert failed(outcome) == {("item_attributes", "attribute is listed once")}
