"""GET /v1/models/{model}/versions and /history through the whole application."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from configs.schema import ServingConfig
from configs.settings import Settings
from database.engine import writing
from database.ledger import append_promotion
from models.errors import NotSupported
from registry.details import RunDetails
from registry.errors import RegistryUnreachable
from registry.versions import ModelVersion
from serving.app import create_app
from serving.source import PackedSource
from serving.versions import page_of
from tests.serving.conftest import CONFIG, Source, refused

URL = "/v1/models/product"
RUN = "0123456789abcdef0123456789abcdef"
UI = "https://mlflow.example"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
HEADLINE = "**May be promoted: all 2 gates passed.**\n\n- accuracy **0.900**"
DESCRIPTION = f"{HEADLINE}\n\n[Evaluation report](#/experiments/7/runs/x)\n\n# Card"


def version(number, model="product", gates="passed", aliases=(), **tags):
    told = {"vitrina.gates": gates, "vitrina.data_fingerprint": "f00d"} | tags
    return ModelVersion(model, number, told, aliases, RUN, AT, "runs:/x", DESCRIPTION)


DETAILS = RunDetails(
    experiment="7",
    gated=("article_type_accuracy", "price_rmsle", "not_measured"),
    metrics={"article_type_accuracy": 0.9, "article_type_accuracy_low": 0.88, "article_type_accuracy_high": 0.92, "loss": 3.0}
    | {"price_rmsle": 0.4},
    reports=("evaluation.html", "validation.html"),
)


@pytest.fixture(scope="module")
def config():
    return CONFIG.model_copy(update={"models": ("product", "quality"), "mlflow_ui": UI})


@pytest.fixture
def source():
    why = "article_type_accuracy is 0.7, champion 0.9; allowed: at least 0.895"
    failed = version(2, gates="failed", **{"vitrina.gate_failures": why, "vitrina.rests_on": "product@1"})
    return Source(
        registered=[(version(3, aliases=("challenger",)), DETAILS), (failed, RunDetails()), (version(1), DETAILS)],
    )


def test_versions_newest_first_with_what_a_reviewer_asks_for(client):
    body = client.get(f"{URL}/versions", params={"limit": 2}).json()
    assert (body["model"], [one["version"] for one in body["versions"]]) == ("product", [3, 2])
    run = f"{UI}/#/experiments/7/runs/{RUN}"
    assert body["versions"][0] == {
        "version": 3,
        "aliases": ["challenger"],
        "registered_at": "2026-11-01T12:00:00Z",
        "gates": "passed",
        "gate_failures": "",
        "metrics": [
            {"name": "article_type_accuracy", "value": 0.9, "low": 0.88, "high": 0.92},
            {"name": "price_rmsle", "value": 0.4, "low": None, "high": None},
        ],
        "headline": HEADLINE,
        "links": {
            "version": f"{UI}/#/models/vitrina-product/versions/3",
            "run": run,
            "reports": {name: f"{run}/artifacts/reports/{name}" for name in ("evaluation.html", "validation.html")},
        },
        "data_fingerprint": "f00d",
        "rests_on": None,
    }
    failed = body["versions"][1]
    assert (failed["gates"], failed["rests_on"], failed["metrics"]) == ("failed", "product@1", [])
    assert failed["gate_failures"] == "article_type_accuracy is 0.7, champion 0.9; allowed: at least 0.895"
    assert failed["links"] == {"version": f"{UI}/#/models/vitrina-product/versions/2", "run": None, "reports": {}}


def test_the_registry_is_asked_once_for_all_who_ask_at_a_time(client, source):
    answers = [client.get(f"{URL}/versions").json() for _ in range(5)]
    assert answers == answers[:1] * 5
    assert source.asked == 1
    assert client.get("/v1/models/quality/versions").json() == {"model": "quality", "versions": []}


def test_a_registry_that_is_away(client, source):
    source.error = RegistryUnreachable("MLflow server http://127.0.0.1:5000 does not answer (refused); start it")
    for _ in range(2):
        response = client.get(f"{URL}/versions")
        assert "does not answer" in refused(response, 503, "registry_unavailable")
        assert response.headers["retry-after"] == "5"
    assert source.asked == 1, "nobody waits for it a second time"


def test_a_service_that_has_no_registry(tmp_path, settings, config):
    class Packed(Source):
        versions = PackedSource(tmp_path).versions

    with pytest.raises(NotSupported):
        PackedSource(tmp_path).versions("product", 1)
    with TestClient(create_app(settings, config, Packed())) as client:
        assert "asks no registry" in refused(client.get(f"{URL}/versions"), 501, "not_supported")


@pytest.mark.parametrize(
    ("address", "tracking", "page"),
    [
        ("", "sqlite:////tmp/mlflow.db", None),
        ("", "http://ada:secret@127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("https://mlflow.example/ui", "http://127.0.0.1:5000", "https://mlflow.example/ui"),
    ],
)
def test_where_the_page_of_mlflow_is(tmp_path, address, tracking, page):
    assert page_of(Settings(tmp_path, "sqlite://", tracking), ServingConfig(mlflow_ui=address)) == page


@pytest.mark.parametrize(
    "address", ["mlflow.example", "ftp://mlflow.example", "https://a b", "javascript:alert(1)", "http://a/#x"]
)
def test_what_is_no_page(address):
    with pytest.raises(ValidationError, match="is no address of a page"):
        ServingConfig(mlflow_ui=address)


def test_without_a_page_there_are_no_links(settings, source):
    with TestClient(create_app(settings, CONFIG, source)) as client:
        first = client.get(f"{URL}/versions").json()["versions"][0]
    assert first["links"] == {"version": None, "run": None, "reports": {}}


def test_who_promoted_which(client, settings):
    assert client.get(f"{URL}/history").json() == {"model": "product", "moves": []}
    append_promotion(
        settings.database_url, "product", from_version=None, to_version=1, who="ada", why="first", action="promote", after=0
    )
    append_promotion(
        settings.database_url, "product", from_version=1, to_version=None, who="MLflow UI", why="", action="moved_in_ui", after=1
    )
    body = client.get(f"{URL}/history").json()
    assert [move.pop("at")[:2] for move in body["moves"]] == ["20", "20"]
    first = {"who": "ada", "note": "first", "action": "promote", "from_version": None, "to_version": 1}
    last = {"who": "MLflow UI", "note": "", "action": "moved_in_ui", "from_version": 1, "to_version": None}
    assert body == {"model": "product", "moves": [last, first]}
    assert [move["who"] for move in client.get(f"{URL}/history", params={"limit": 1}).json()["moves"]] == ["MLflow UI"]


def test_a_ledger_that_is_away(client, settings):
    with writing(settings.database_url) as connection:
        connection.exec_driver_sql("DROP TABLE promotions")
    refused(client.get(f"{URL}/history"), 503, "database_unavailable")


@pytest.mark.parametrize("what", ["versions", "history"])
def test_what_is_not_asked(client, what):
    for name in ("recommender", "nobody", "..", "vitrina-product"):
        refused(client.get(f"/v1/models/{name}/{what}"), 404, "not_found", None if name == ".." else "model")
    for limit in (0, 101, "x"):
        refused(client.get(f"{URL}/{what}", params={"limit": limit}), 400, "invalid_input", "limit")
