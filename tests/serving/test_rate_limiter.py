"""Rates of keys and of addresses: what is counted, by whom, and what does not help to ask more."""

import threading
import time

import pytest
from starlette.testclient import TestClient

from configs.schema import AccessConfig
from database.keys import create
from monitoring import metrics
from serving.access.rates import Rates, network
from serving.app import create_app
from tests.monitoring.test_metrics import value
from tests.serving.conftest import CONFIG, Source, refused, wait_until

ACCESS = AccessConfig(requests_a_minute=3, refusals_a_minute=2, reread_seconds=0.02)
LIMITED = CONFIG.model_copy(update={"access": ACCESS})
MINUTE = 60.0


@pytest.fixture
def clock(monkeypatch):
    """The clock of the counters, a second after the beginning of a minute."""
    now = [MINUTE * 1000 + 1]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def app(settings, clock):
    """One that is ready; each test asks it from addresses of its own."""
    made = create_app(settings, LIMITED, Source())
    with TestClient(made) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield made


def at(app, address):
    return TestClient(app, client=(address, 50000), raise_server_exceptions=False)


def statuses(client, times, **headers):
    return [client.get("/v1/models", headers=headers).status_code for _ in range(times)]


def test_an_address_that_asks_too_often_is_told_when_to_ask_again(app, clock):
    client = at(app, "10.0.0.1")
    answers = [client.get("/v1/models") for _ in range(3)]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
    answer = client.get("/v1/models")
    assert "more than 3 requests a minute of this address" in refused(answer, 429, "rate_limited")
    assert answer.headers["retry-after"] == answer.headers["ratelimit-reset"] == "59"
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("3", "0")
    clock[0] += 2 * MINUTE
    assert statuses(client, 1) == [200]


def test_addresses_are_counted_by_themselves(app):
    assert statuses(at(app, "10.0.0.1"), 4) == [200, 200, 200, 429]
    assert statuses(at(app, "10.0.0.2"), 1) == [200]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP", "Via"])
def test_what_a_client_says_of_its_address_does_not_help(app, name):
    client = at(app, "10.0.0.1")
    found = [client.get("/v1/models", headers={name: f"203.0.113.{turn}"}).status_code for turn in range(5)]
    assert found == [200, 200, 200, 429, 429]


def test_one_network_of_ipv6_is_one_asker(app):
    found = [at(app, f"2001:db8:1:2::{turn:x}").get("/v1/models").status_code for turn in range(4)]
    assert found == [200, 200, 200, 429]
    assert statuses(at(app, "2001:db8:1:3::1"), 1) == [200]


@pytest.mark.parametrize(
    ("address", "asker"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("anyone", "anyone"),
    ],
)
def test_who_counts_as_one_asker(address, asker):
    assert network(address) == asker


def test_health_is_never_limited(app):
    client = at(app, "10.0.0.1")
    statuses(client, 5)
    assert [client.get(path).status_code for path in ("/livez", "/healthz", "/readyz") for _ in range(10)] == [200] * 30


def test_a_key_is_counted_wherever_it_asks_from_and_may_have_a_number_of_its_own(app, settings):
    url = settings.database_url
    _, few = create(url, "few", ("read",), who="ada", requests_a_minute=2)
    _, usual = create(url, "usual", ("read",), who="ada")
    wait_until(lambda: at(app, "10.0.9.9").get("/v1/models").status_code in (401, 429))
    found = [at(app, f"10.0.0.{turn}").get("/v1/models", headers={"X-API-Key": few}) for turn in range(3)]
    assert [answer.status_code for answer in found] == [200, 200, 429]
    assert "of this key few" in found[-1].json()["error"]["message"]
    assert statuses(at(app, "10.0.0.1"), 4, **{"X-API-Key": usual}) == [200, 200, 200, 429]


def test_guessing_is_limited_and_holds_up_nobody_who_has_a_key(app, settings):
    _, token = create(settings.database_url, "shop", ("read",), who="ada")
    wait_until(lambda: at(app, "10.0.9.9").get("/v1/models").status_code in (401, 429))
    client = at(app, "10.0.0.1")
    assert statuses(client, 4, **{"X-API-Key": "guess"}) == [401, 401, 429, 429]
    answer = client.get("/v1/models")
    assert "without a valid key" in refused(answer, 429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    assert statuses(client, 1, **{"X-API-Key": token}) == [200]
    assert statuses(at(app, "10.0.0.2"), 1) == [401]


@pytest.mark.slow
def test_what_is_refused_is_counted_by_its_reason(app):
    before = value(metrics.exposition(), "vitrina_requests_refused_total", reason="rate_limited") or 0
    statuses(at(app, "10.0.0.1"), 5)
    assert value(metrics.exposition(), "vitrina_requests_refused_total", reason="rate_limited") == before + 2


def test_a_clock_that_goes_back_locks_nobody_out(clock):
    rates = Rates()
    assert [rates.of_key("a", 3).allowed for _ in range(4)] == [True, True, True, False]
    clock[0] -= 1000 * MINUTE - 1
    assert rates.of_key("a", 3).allowed


def test_a_window_slides(clock):
    rates = Rates()
    assert all(rates.of_key("a", 10).allowed for _ in range(10))
    clock[0] += 1.5 * MINUTE  # half of the last minute counts still
    assert [rates.of_key("a", 10).allowed for _ in range(7)].count(True) in (5, 6)


def test_many_addresses_take_bounded_memory_and_keys_stay_apart(clock):
    rates = Rates(max_counters=50)
    for turn in range(2000):
        rates.of_address(f"10.{turn // 250}.0.{turn % 250}", 5)
    assert len(rates._storage.storage) <= 51
    assert not rates.of_address("10.99.0.1", 5).allowed  # those that come new share one
    assert rates.of_key("a", 5).allowed
    clock[0] += 3 * MINUTE
    assert rates.of_address("10.99.0.1", 5).allowed


def test_threads_that_ask_at_once_get_no_more_than_the_limit(clock):
    rates, allowed = Rates(), []
    threads = [
        threading.Thread(target=lambda: allowed.extend(rates.of_key("a", 100).allowed for _ in range(50))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) <= 100


def test_counting_a_request_takes_microseconds():
    rates, turns = Rates(), 2000
    start = time.process_time()
    for _ in range(turns):
        rates.of_key("a", 1_000_000)
    assert (time.process_time() - start) / turns < 500e-6  # 8 µs were measured
