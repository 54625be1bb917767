import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from database.errors import NotFound
from database.monitor_runs import MAX_ATTEMPTS, beat, claim_window, finish_window, monitor_runs, record_run, retraining

ROOT = Path(__file__).parents[2]


def state(url: str, window: str) -> str:
    return next(run.retrain_state for run in monitor_runs(url, "product") if run.window_key == window)


def test_a_verdict_is_kept_and_the_same_window_again_replaces_it(url):
    start, end = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    record_run(url, "product", 1, "a", verdict={"drifted": False}, window_start=start, window_end=end)
    assert claim_window(url, "product", 1, "a")
    record_run(url, "product", 1, "a", verdict={"drifted": True}, window_start=start, window_end=end, report=Path("r.html"))
    (run,) = monitor_runs(url, "product")
    assert (run.verdict, run.report, run.window_start, run.window_end) == ({"drifted": True}, "r.html", start, end)
    assert run.retrain_state == "claimed"


def test_a_window_is_claimed_once(url):
    assert claim_window(url, "product", 1, "a")
    assert not claim_window(url, "product", 1, "a")
    finish_window(url, "product", "a")
    assert not claim_window(url, "product", 1, "a")
    assert state(url, "a") == "done"


def test_no_second_retraining_while_one_is_under_way(url):
    assert claim_window(url, "product", 1, "a")
    assert not claim_window(url, "product", 1, "b")
    assert claim_window(url, "recommender", 1, "b")
    beat(url, "product", "a")
    assert state(url, "a") == "running"
    assert not claim_window(url, "product", 1, "b")
    finish_window(url, "product", "a")
    assert claim_window(url, "product", 1, "b")


def test_of_many_callers_one_gets_the_claim(url):
    claims: list[bool] = []
    start = threading.Barrier(6)

    def claim(window: str) -> None:
        start.wait()
        claims.append(claim_window(url, "product", 1, window))

    threads = [threading.Thread(target=claim, args=(window,)) for window in "aaabbc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 5 + [True]


def test_a_failed_retraining_may_be_tried_again_but_not_for_ever(url):
    for _ in range(MAX_ATTEMPTS):
        assert claim_window(url, "product", 1, "a")
        with pytest.raises(RuntimeError), retraining(url, "product", "a"):
            raise RuntimeError("no space left on device")
        assert state(url, "a") == "failed"
    assert not claim_window(url, "product", 1, "a")
    assert monitor_runs(url, "product")[0].detail == "RuntimeError: no space left on device"


@pytest.mark.slow
def test_the_claim_of_a_process_that_died_is_free_again(url):
    program = f"from database.monitor_runs import claim_window as c; assert c({url!r}, 'product', 1, 'a')"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    assert state(url, "a") == "claimed"
    assert claim_window(url, "product", 1, "b")
    assert (state(url, "a"), state(url, "b")) == ("failed", "claimed")


def test_a_claim_without_a_heartbeat_is_free_again(url):
    assert claim_window(url, "product", 1, "a")
    assert not claim_window(url, "product", 1, "b", stale=timedelta(minutes=1))
    assert claim_window(url, "product", 1, "b", stale=timedelta(seconds=-1))


def test_a_retraining_beats_while_it_runs(url):
    assert claim_window(url, "product", 1, "a")
    with retraining(url, "product", "a", every=0.02):
        first = monitor_runs(url, "product")[0].heartbeat
        deadline = time.monotonic() + 60
        while monitor_runs(url, "product")[0].heartbeat == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert state(url, "a") == "running"
    assert state(url, "a") == "done"


@pytest.mark.parametrize("act", [beat, finish_window])
def test_what_was_not_claimed_cannot_run_or_finish(url, act):
    with pytest.raises(NotFound, match="no retraining of product is under way for window 'a'"):
        act(url, "product", "a")
