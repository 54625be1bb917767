"""Metrics that the database tells: jobs, drift, and whether it can be read."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

from database.engine import writing
from database.jobs import Item, cancel, submit
from database.monitor_runs import claim_window, record_run
from database.states import jobs_by_state
from monitoring import metrics, stored
from monitoring.verdict import ColumnDrift, DriftVerdict
from tests.monitoring.test_metrics import value


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


def verdict(drifted, *columns):
    found = [ColumnDrift(column=f"c{n}", kind="numerical", test="ks", effect=e, drifted=d) for n, (e, d) in enumerate(columns)]
    return DriftVerdict(
        drifted=drifted, enough_rows=True, n_reference=9, n_current=9, alpha=0.01, min_effect=0.1, columns=tuple(found)
    )


def told(url, name, **labels):
    return value(metrics.exposition(url), name, **labels)


def test_jobs_are_told_by_state_with_the_age_of_the_oldest(url):
    first, _ = submit(url, "embeddings/batch", [Item(place=0, sent={})])
    second, _ = submit(url, "embeddings/batch", [Item(place=0, sent={})])
    with writing(url) as connection:
        an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).replace(tzinfo=None).isoformat(" ")
        connection.execute(
            sqlalchemy.text("UPDATE jobs SET created_at = :at WHERE id = :id"), {"at": an_hour_ago, "id": first.id}
        )
    states = {state: told(url, "vitrina_jobs", state=state) for state in stored.STATES}
    assert states == {"queued": 2, "running": 0, "succeeded": 0, "partly_failed": 0, "failed": 0, "cancelled": 0}
    assert 3590 < told(url, "vitrina_oldest_job_seconds") < 3700
    cancel(url, first.id)
    assert (told(url, "vitrina_jobs", state="queued"), told(url, "vitrina_jobs", state="cancelled")) == (1, 1)
    assert told(url, "vitrina_oldest_job_seconds") < 60
    cancel(url, second.id)
    assert told(url, "vitrina_oldest_job_seconds") == 0
    assert set(jobs_by_state(url)) == {"cancelled"}


def test_a_window_that_drifted_is_told_with_its_largest_effect(url):
    record_run(url, "product", 1, "first", verdict=verdict(False, (0.05, False), (0.08, False)).as_row())
    assert told(url, "vitrina_model_drifted", model="product", version="1") == 0
    assert told(url, "vitrina_drift_score", model="product", version="1") == 0.08
    record_run(url, "product", 2, "second", verdict=verdict(True, (0.9, False), (0.3, True), (0.4, True)).as_row())
    assert told(url, "vitrina_model_drifted", model="product", version="2") == 1
    assert told(url, "vitrina_drift_score", model="product", version="2") == 0.4
    assert told(url, "vitrina_drift_score", model="product", version="1") is None
    assert abs(told(url, "vitrina_drift_looked_timestamp_seconds", model="product") - datetime.now(UTC).timestamp()) < 60


def test_a_window_that_was_only_claimed_has_no_score(url):
    assert claim_window(url, "product", 1, "claimed")
    assert told(url, "vitrina_model_drifted", model="product") is None
    assert told(url, "vitrina_drift_looked_timestamp_seconds", model="product") is not None


def test_a_verdict_without_effects_scores_nothing():
    assert stored.score(verdict(False)) == 0


def test_a_database_that_is_away_is_told_and_keeps_nothing_else_back(tmp_path):
    (tmp_path / "file").write_text("")
    away = f"sqlite:///{tmp_path / 'file' / 'vitrina.db'}"
    text = metrics.exposition(away)
    assert value(text, "vitrina_database_up") == 0
    assert value(text, "vitrina_jobs") is None
    metrics.model_stale("nobody's", True)  # which no service that another test left behind counts
    assert value(metrics.exposition(away), "vitrina_model_stale", model="nobody's") == 1


def test_one_that_can_be_read_is_told_too(url):
    assert told(url, "vitrina_database_up") == 1
