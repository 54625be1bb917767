"""What is told of a version from its run and its description."""

from collections.abc import Callable

from configs.settings import Settings
from registry.connection import connected
from registry.details import RunDetails, details
from registry.register import headline_of, mark_challenger
from registry.versions import ModelVersion, newest
from serving.source import RegistrySource

RULE = {"metric": "article_type_accuracy", "better": "higher", "tolerance": 0.005}
GATES = {
    "better_than": [{"metric": "price_rmsle", "baseline": "median_price_rmsle", "better": "lower", "margin": 0.0}],
    "no_regression": [RULE],
    "thresholds": [RULE | {"at_least": place / 1000} for place in range(100)],  # more than MLflow keeps of a parameter
}
METRICS = {"article_type_accuracy": 0.75, "article_type_accuracy_low": 0.7, "price_rmsle": 0.4}
HEADLINE = "**May be promoted: all 2 gates passed.**\n\n- accuracy **0.750** (champion 0.700: clearly better)\n\nFirst."


def test_what_the_run_of_a_version_says(settings: Settings, make_version: Callable[..., ModelVersion]) -> None:
    version = make_version(settings, metrics=METRICS, config={"gates": GATES}, headline=HEADLINE)
    found = details(settings, version)
    assert found.gated == ("price_rmsle", "article_type_accuracy")
    assert (dict(found.metrics), found.reports) == (METRICS, ("evaluation.html",))
    with connected(settings) as client:
        assert client.get_run(version.run_id).info.experiment_id == found.experiment


def test_headlines(settings: Settings, make_version: Callable[..., ModelVersion]) -> None:
    told = make_version(settings, headline=HEADLINE)
    assert (headline_of(told.description), "# Model card of 0" in told.description) == (HEADLINE, True)
    assert headline_of(make_version(settings).description) == ""
    assert headline_of("what somebody wrote in MLflow") == "what somebody wrote in MLflow"


def test_the_newest_versions_and_a_run_that_is_gone(settings: Settings, make_version: Callable[..., ModelVersion]) -> None:
    assert newest(settings, "product", 5) == []
    made = [make_version(settings) for _ in range(3)]
    mark_challenger(settings, made[2])
    found = newest(settings, "product", 2)
    assert [(one.version, one.aliases) for one in found] == [(3, ("challenger",)), (2, ())]
    source = RegistrySource(settings)
    assert [one.version for one, _ in source.versions("product", 3)] == [3, 2, 1]
    assert source.challenger("product") == 3
    gone = made[0].__class__(**vars(made[0]) | {"run_id": "0" * 32})
    assert details(settings, gone) == RunDetails()
