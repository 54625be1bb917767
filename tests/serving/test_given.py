"""Answers that are given again, through the API."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from configs.schema import ResultsConfig
from database.predictions import feedback_for, newest_predictions
from serving.app import create_app
from tests.serving.conftest import CONFIG, Predictor, Source, photo, refused, wait_until

pytestmark = pytest.mark.slow

LISTING = {"title": "Nordal Men Blue Shirt", "attributes": {"Fabric": "Cotton", "Fit": "Slim"}}
OTHER = {"title": "Nordal Women Red Dress"}


@pytest.fixture(scope="module")
def config():
    return CONFIG.model_copy(update={"results": ResultsConfig(), "models": ("product", "quality", "describer")})


def post(client, route, body, **headers):
    return client.post(f"/v1/{route}", json=body, headers=headers)


def kept(settings, count):
    """Answers are kept once they were sent: wait until so many are told to monitoring, which comes before."""
    wait_until(lambda: len(newest_predictions(settings.database_url, "product", 100)) >= count)


def body(response):
    assert response.status_code == 200, response.text
    return response.json()


def without_ids(answer):
    items = answer.get("items", [answer])
    return [{name: value for name, value in item.items() if name != "prediction_id"} for item in items]


@pytest.mark.parametrize(
    ("route", "model"), [("embeddings", "product"), ("quality/assess", "quality"), ("generate/description", "describer")]
)
def test_the_same_content_is_computed_once(client, source, route, model):
    first = body(post(client, route, LISTING | {"brand": "Nordal"}))
    again = body(post(client, route, {"brand": "Nordal"} | dict(reversed(LISTING.items()))))
    assert without_ids(again) == without_ids(first)
    assert again["prediction_id"] != first["prediction_id"]
    asked = {"product": source.predictors, "quality": source.qualities, "describer": source.describers}[model][1].asked
    assert len(asked) == 1


def test_another_photo_price_or_attribute_is_another_content(client, source):
    red = base64.b64encode(photo()).decode()
    small = base64.b64encode(photo(size=(30, 40))).decode()
    bodies = [
        LISTING,
        LISTING | {"price": 10.5},
        LISTING | {"image": red},
        LISTING | {"image": small},
        {"title": LISTING["title"]},
    ]
    for _ in range(2):
        for one in bodies:
            body(post(client, "embeddings", one))
    assert len(source.predictors[1].asked) == len(bodies)


def test_of_several_only_what_is_not_kept_is_computed_and_all_come_in_order(client, source):
    one = body(post(client, "embeddings", LISTING))
    several = body(post(client, "embeddings/batch", {"items": [OTHER, LISTING, {"title": "third"}]}))
    assert [listing.title for listing in source.predictors[1].asked] == [LISTING["title"], OTHER["title"], "third"]
    assert without_ids(several)[1] == without_ids(one)[0]
    assert several["model"] == {"name": "product", "version": 1}
    assert len({item["prediction_id"] for item in several["items"]}) == 3
    again = body(post(client, "embeddings/batch", {"items": [OTHER, LISTING, {"title": "third"}]}))
    assert without_ids(again) == without_ids(several)
    assert len(source.predictors[1].asked) == 3


def test_one_at_fault_is_named_by_its_place_among_kept_ones(client):
    body(post(client, "embeddings", LISTING))
    said = refused(post(client, "embeddings/batch", {"items": [LISTING, OTHER, {"title": " "}]}), 400, "invalid_input", "items.2")
    assert "items.2 says nothing" in said
    refused(post(client, "embeddings/batch", {"items": [LISTING, {"title": "refused"}]}), 400, "invalid_input", "items.1")


def test_what_failed_is_not_kept(client, source):
    for _ in range(2):
        assert post(client, "embeddings", {"title": "crash"}).status_code == 500
    assert len(source.predictors[1].asked) == 2


def test_a_new_version_answers_for_itself(client, source):
    body(post(client, "embeddings", LISTING))
    source.at = 2
    wait_until(lambda: body(post(client, "embeddings", OTHER))["model"]["version"] == 2)
    assert body(post(client, "embeddings", LISTING))["model"]["version"] == 2
    assert LISTING["title"] in [listing.title for listing in source.predictors[2].asked]


def test_kept_and_computed_are_of_one_version_where_the_champion_moves_in_between(client, source):
    body(post(client, "embeddings", LISTING))
    source.predictors[1].seconds = 0.4
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(post, client, "embeddings/batch", {"items": [LISTING, {"title": "slow"}, OTHER, OTHER]})
        wait_until(lambda: len(source.predictors[1].asked) > 1)
        source.at = 2
        wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 2)
        answer = body(asking.result())
    assert {item["model"]["version"] for item in answer["items"]} == {answer["model"]["version"]}


def test_monitoring_and_feedback_know_each_answer_by_its_own_id(client, settings):
    first, again = (body(post(client, "embeddings", LISTING)) for _ in range(2))
    kept(settings, 2)
    rows = {row.id: row for row in newest_predictions(settings.database_url, "product", 10)}
    assert set(rows) == {first["prediction_id"], again["prediction_id"]}
    one, two = rows[first["prediction_id"]], rows[again["prediction_id"]]
    assert (one.inputs, one.outputs, one.embedding, one.version) == (two.inputs, two.outputs, two.embedding, two.version)
    label = {"prediction_id": again["prediction_id"], "labels": {"article_type": "Shirts"}}
    assert post(client, "feedback", label).status_code == 201
    assert feedback_for(settings.database_url, [again["prediction_id"]]) == {again["prediction_id"]: {"article_type": "Shirts"}}


def test_another_process_gives_what_one_kept(settings, config, source):
    with TestClient(create_app(settings, config, source), raise_server_exceptions=False) as one:
        wait_until(lambda: one.get("/readyz").status_code == 200)
        first = body(post(one, "embeddings", LISTING))
    with TestClient(create_app(settings, config, source), raise_server_exceptions=False) as two:
        wait_until(lambda: two.get("/readyz").status_code == 200)
        assert without_ids(body(post(two, "embeddings", LISTING))) == without_ids(first)
    assert len(source.predictors[1].asked) == 1


def test_version_1_of_a_registry_begun_anew_answers_for_itself(client, settings, config, source):
    body(post(client, "embeddings", LISTING))
    anew = Source(registry="the second", predictors={1: Predictor(2)})
    with TestClient(create_app(settings, config, anew), raise_server_exceptions=False) as other:
        wait_until(lambda: other.get("/readyz").status_code == 200)
        for _ in range(2):
            body(post(other, "embeddings", LISTING))
    assert len(anew.predictors[1].asked) == 1
    assert len(source.predictors[1].asked) == 1
