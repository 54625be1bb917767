"""POST /v1/sentiment/analyze through the whole application."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from catalog.text import normalise
from database.predictions import newest_predictions
from tests.serving.conftest import CONFIG, quick, refused, wait_until

URL = "/v1/sentiment/analyze"
REVIEW = {"title": "Lovely", "text": "A good shirt, a good fit"}


def test_each_review_gets_an_opinion_in_order(steady):
    reviews = [REVIEW, {"title": "Too small"}, {"text": "good"}, {"title": None, "text": "bad"}]
    response = steady.post(URL, json={"reviews": reviews})
    assert response.status_code == 200
    assert response.json() == {
        "model": {"name": "product", "version": 1},
        "reviews": [
            {"sentiment": "positive", "recommended": 0.9, "rating": 4.0},
            {"sentiment": "negative", "recommended": 0.1, "rating": 4.0},
            {"sentiment": "positive", "recommended": 0.5, "rating": 3.12},
            {"sentiment": "negative", "recommended": 0.1, "rating": 4.0},
        ],
    }


def test_the_model_gets_texts_as_it_was_trained_on(client, source):
    text = "<p>SÁRI &amp; 小さい</p>\n👗"
    assert client.post(URL, json={"reviews": [{"title": "", "text": text}]}).status_code == 200
    [review] = source.predictors[1].reviews
    assert (review.title, review.text) == ("", normalise(text))
    assert (review.recommended, review.rating) == (None, None)
    assert source.predictors[1].asked == []


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "reviews", "required"),
        ({"reviews": []}, "reviews", "at least 1"),
        ({"reviews": None}, "reviews", "valid array"),
        ({"reviews": REVIEW}, "reviews", "valid array"),
        ({"reviews": ["good"]}, "reviews.0", "object"),
        ({"reviews": [REVIEW] * 5}, "reviews", "holds 5 reviews; at most 4 are allowed"),
        ({"reviews": [REVIEW], "top_k": 3}, "top_k", "unknown field 'top_k'; allowed: reviews"),
        ({"reviews": [REVIEW, {"review": "good"}]}, "reviews.1.review", "unknown field"),
        ({"reviews": [REVIEW, {"rating": 5}]}, "reviews.1.rating", "unknown field"),
        ({"reviews": [REVIEW, {}]}, "reviews.1", "give a title or a text"),
        ({"reviews": [{"title": " ", "text": "\n"}]}, "reviews.0", "give a title or a text"),
        ({"reviews": [{"text": "<p>&nbsp;</p>"}]}, "reviews.0", "give a title or a text"),
        ({"reviews": [{"text": "\u200b"}]}, "reviews.0", "give a title or a text"),
        ({"reviews": [{"text": 5}]}, "reviews.0.text", "valid string"),
        ({"reviews": [{"text": ["good"]}]}, "reviews.0.text", "valid string"),
        ({"reviews": [{"title": "x" * 1001}]}, "reviews.0.title", "at most 1000 characters"),
        ({"reviews": [{"text": "x" * 50_001}]}, "reviews.0.text", "at most 50000 characters"),
        ({"reviews": [{"text": "a\x00b"}]}, "reviews.0.text", "control characters"),
    ],
)
def test_a_wrong_request_is_refused_and_the_review_named(steady, body, field, says):
    assert says in refused(steady.post(URL, json=body), 400, "invalid_input", field)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1e999"])
@pytest.mark.parametrize(("body", "field"), [('{"reviews":[{"text":%s}]}', "reviews.0.text"), ('{"reviews":%s}', "reviews")])
def test_numbers_that_are_none_are_refused(steady, body, field, value):
    headers = {"content-type": "application/json"}
    refused(steady.post(URL, content=body % value, headers=headers), 400, "invalid_input", field)


def test_a_version_trained_without_reviews_says_so_and_the_other_heads_answer(client, source):
    source.predictors[1].opinionated = False
    response = client.post(URL, json={"reviews": [REVIEW, {"title": "Too small"}]})
    assert refused(response, 501, "not_supported") == "this version was trained without reviews"
    refused(client.post(URL, json={"reviews": [{}]}), 400, "invalid_input", "reviews.0")  # the client's fault is told first
    assert client.post("/v1/embeddings", json={"title": "shirt"}).status_code == 200
    source.at = 2  # the next champion can
    wait_until(lambda: client.post(URL, json={"reviews": [REVIEW]}).status_code == 200)


def test_a_review_that_the_model_refuses_is_the_clients_fault(steady):
    message = refused(steady.post(URL, json={"reviews": [REVIEW, {"title": "refused"}]}), 400, "invalid_input")
    assert message == "review 0 is refused"


def test_without_a_version_it_is_not_ready(settings, config, source):
    from starlette.testclient import TestClient

    from configs.errors import VitrinaError
    from serving.app import create_app

    source.error = VitrinaError("model 'product' has no champion")
    with TestClient(create_app(settings, config, source)) as made:
        refused(made.post(URL, json={"reviews": [REVIEW]}), 503, "not_ready")


@quick(CONFIG)
def test_an_answer_that_takes_too_long_is_given_up(client, source):
    source.predictors[1].seconds = 0.3
    refused(client.post(URL, json={"reviews": [REVIEW]}), 504, "timeout")


def test_reviews_and_listings_do_not_wait_for_each_other(client, source):
    predictor = source.predictors[1]
    begun, go_on = threading.Event(), threading.Event()
    predict = predictor.predict

    def slow(listings):
        begun.set()
        assert go_on.wait(60)
        return predict(listings)

    predictor.predict = slow
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(client.post, "/v1/embeddings", json={"title": "shirt"})
        assert begun.wait(60)
        answer = client.post(URL, json={"reviews": [REVIEW]})
        assert not listing.done()
        go_on.set()
        assert listing.result(5).status_code == 200
    assert answer.status_code == 200


@pytest.mark.slow
def test_reviews_that_come_together_run_together(settings, config, source):
    from starlette.testclient import TestClient

    from serving.app import create_app

    with TestClient(create_app(settings, config, source)) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        predictor = source.predictors[1]
        predictor.seconds, sizes, opine = 0.2, [], predictor.predict_reviews

        def counted(reviews):
            sizes.append(len(reviews))
            return opine(reviews)

        predictor.predict_reviews = counted
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: made.post(URL, json={"reviews": [REVIEW, {"text": "bad"}]}), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {tuple(review["sentiment"] for review in answer.json()["reviews"]) for answer in answers} == {("positive", "negative")}
    assert sum(sizes) == 8
    assert max(sizes) >= 4


def test_reviews_are_counted_and_not_logged_as_listings(settings, config, source):
    from starlette.testclient import TestClient

    from serving.app import create_app

    with TestClient(create_app(settings, config, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = client.post(URL, json={"reviews": [REVIEW]})
        assert "prediction_id" not in answer.text
        logged = client.post("/v1/quality/assess", json={"title": "shirt"}).json()["prediction_id"]
        assert f'vitrina_requests_total{{endpoint="{URL}",status="200"}}' in client.get("/metrics").text
    [row] = newest_predictions(settings.database_url, "product", 10)  # a log that is closed has written what there was
    assert (row.id, row.endpoint, row.outputs["quality"]) == (logged, "quality/assess", 0.25)


def test_only_json_is_read(steady):
    refused(steady.post(URL, files={"reviews": (None, "[]")}), 415, "unsupported_media_type")
    refused(steady.post(URL, content=b"good", headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    refused(steady.get(URL), 405, "method_not_allowed")


@pytest.mark.slow
def test_a_trained_model_answers_reviews_and_faults(settings, config, trained_bundle):
    from starlette.testclient import TestClient

    from catalog.corruption import KINDS
    from models.product.predictor import ProductPredictor
    from serving.app import create_app
    from tests.serving.conftest import Source

    made = create_app(settings, config, Source(predictors={1: ProductPredictor.load(trained_bundle, "cpu")}))
    with TestClient(made) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        opinions = client.post(URL, json={"reviews": [REVIEW, {"text": "returned it, bad fit"}, {"title": "x" * 1000}]}).json()
        assert [set(review) for review in opinions["reviews"]] == [{"sentiment", "recommended", "rating"}] * 3
        for review in opinions["reviews"]:
            assert 0 <= review["recommended"] <= 1 <= review["rating"] <= 5
            assert review["sentiment"] == ("positive" if review["recommended"] >= 0.5 else "negative")
        listing = {"title": "Nordal blue shirt 512", "description": "A blue shirt by Nordal", "price": 900}
        assessed = client.post("/v1/quality/assess", json=listing).json()
        assert 0 <= assessed["score"] <= 1
        assert {fault["kind"] for fault in assessed["faults"]} == set(KINDS)
        probabilities = [fault["probability"] for fault in assessed["faults"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert assessed["modalities"] == ["title", "description", "price"]
        analysed = client.post("/v1/multimodal/analyze", json=listing).json()
        assert analysed["quality"]["score"] == pytest.approx(assessed["score"], abs=1e-5)
