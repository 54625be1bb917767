"""Every operation of the service, asked through both faces."""

import inspect
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack, get_args, get_origin, get_type_hints

import httpx
import numpy as np
import pytest

from tests.serving.conftest import CONFIG, photo
from vitrina_client import AsyncClient, Client, Conflict, InvalidRequest, ItemFailed, NotFound, models

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "client" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
LISTING = {"title": "Nordal Men Blue Shirt", "brand": "Nordal", "price": 999, "attributes": {"Fabric": "Cotton"}}
EXAMPLES = [
    {"label": "Kurtas", "title": "Printed Cotton Kurta"},
    {"label": "Kurtas", "title": "Blue Cotton Kurta"},
    {"label": "Sarees", "title": "Silk Saree"},
    {"label": "Sarees", "title": "Red Silk Saree"},
]


def fields(schema):
    """Names that a request's body may have, in any of its forms."""
    if "$ref" in schema:
        return fields(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return set(schema.get("properties", {})).union(*map(fields, schema.get("oneOf", ())))


SEVERAL = {
    "assess_quality": "assess_qualities",
    "generate_description": "generate_descriptions",
    "generate_image": "generate_image_job",
}
"""Method for the other form of an operation's body."""


def parameters(method):
    """Names of a method's arguments, and those of its typed keywords."""
    names = set(inspect.signature(method).parameters)
    for hint in get_type_hints(method).values():
        if get_origin(hint) is Unpack:
            names |= set(get_args(hint)[0].__annotations__)
    return names


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_operation_has_a_method_that_takes_all_that_it_takes(kind, name):
    _, path, operation = OPERATIONS[name]
    asked = set(re.findall(r"{(\w+)}", path)) | {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
    methods = [getattr(kind, name), *([getattr(kind, SEVERAL[name])] if name in SEVERAL else [])]
    assert asked | fields(body["schema"]) <= set().union(*map(parameters, methods))


def public(kind):
    return {name: member for name, member in vars(kind).items() if inspect.isfunction(member) and not name.startswith("_")}


def test_both_faces_are_the_same():
    sync, waiting = public(Client), public(AsyncClient)
    assert set(sync) == {name.removeprefix("a") if name == "aclose" else name for name in waiting}
    for name, method in waiting.items():
        twin = sync["close" if name == "aclose" else name]
        plain = [str(one).replace("Async", "") for one in inspect.signature(method).parameters.values()]
        assert [str(one) for one in inspect.signature(twin).parameters.values()] == plain, name
        assert method.__doc__.replace("Async", "") == twin.__doc__, name
        assert not inspect.iscoroutinefunction(twin)


@pytest.fixture
def vitrina(face, address):
    return face(address)


def test_heads_of_a_listing(vitrina):
    analysis = vitrina.analyze(**LISTING, top_k=2)
    assert type(analysis) is models.Analysis
    assert [label.label for label in analysis.categories["article_type"]] == ["article_type 0", "article_type 1"]
    assert analysis.price.median == 100.12
    assert analysis.model == models.Served(name="product", version=1)
    assert len(analysis.embedding) == 1024
    assert vitrina.classify(title="Shirt").categories["sub_category"][0].probability == 0.5
    assert vitrina.predict_price(title="Shirt").price.high == 200.0
    assert vitrina.embed(title="Shirt").embedding[:3] == [0.6, 0.8, 0.0]
    assert [item.modalities for item in vitrina.embed_batch([{"title": "a"}, {"description": "b"}]).items] == [
        ["title"],
        ["description"],
    ]


def test_a_photo_may_be_bytes_a_path_or_a_file(vitrina, tmp_path):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(photo())
    for image in (photo(), path, io.BytesIO(photo()), path.open("rb")):
        assert vitrina.classify(image=image).modalities == ["image"]
    assert [item.modalities for item in vitrina.embed_batch([{"image": path}]).items] == [["image"]]


def test_values_of_numpy_are_sent_as_numbers(vitrina):
    assert vitrina.predict_price(title="Shirt", price=np.float32(12.5)).modalities == ["title"]
    assert len(vitrina.classify(title="Shirt", top_k=np.int64(2)).categories["article_type"]) == 2


@pytest.mark.parametrize(
    ("listing", "error", "said"),
    [
        ({"title": {1, 2}}, TypeError, "items.0.title: set cannot be sent"),
        ({"price": float("nan")}, ValueError, "not JSON compliant"),
    ],
)
def test_what_cannot_be_sent_is_said_before_it_is(vitrina, listing, error, said):
    with pytest.raises(error, match=said):
        vitrina.embed_batch([listing])


def test_a_photo_that_is_not_there(vitrina, tmp_path):
    with pytest.raises(FileNotFoundError):
        vitrina.classify(image=tmp_path / "absent.jpg")


def test_reviews(vitrina):
    opinions = vitrina.analyze_sentiment([{"title": "good", "text": "good"}, {"text": "bad"}])
    assert [opinion.sentiment for opinion in opinions.reviews] == ["positive", "negative"]


def test_quality(vitrina):
    assessment = vitrina.assess_quality(**LISTING, product_id=7)
    assert (assessment.verdict, assessment.axes[0].axis) == ("hold", "description")
    assert assessment.improvements[0].change == {"attributes.Sleeve Length": "Long"}


def test_search_and_the_catalogue(vitrina):
    name = f"sleeve/{vitrina.waits}"
    put = vitrina.put_product(name, title="green velvet jeans", brand="Delta", price=33.5, image=photo())
    assert (put.product_id, put.hidden, put.title) == (name, False, "green velvet jeans")
    found = vitrina.search_similar(text="green velvet jeans", limit=1, filters={"brands": ["Delta"], "price_max": 34})
    assert [(item.product_id, item.brand) for item in found.items] == [(name, "Delta")]
    assert vitrina.search_similar(vector=np.ones(16), limit=2).products >= 7
    assert vitrina.get_product_image(name) == photo()
    page = vitrina.list_products(limit=1, q="velvet jeans")
    assert ([item.product_id for item in page.items], page.items[0].has_photo, page.next) == ([name], True, None)
    assert [item.product_id for item in vitrina.list_products(after=1, article_type="Jeans").items] == [2, 3]
    assert vitrina.put_product(name, hidden=True).hidden is True
    assert vitrina.get_product(name).hidden is True
    assert [item.product_id for item in vitrina.put_products([{"product_id": name, "title": "red velvet jeans"}]).items] == [name]
    assert vitrina.delete_product(name) is None
    with pytest.raises(NotFound):
        vitrina.get_product(name)


def test_jobs(vitrina):
    job = vitrina.embed_batch_job([{"title": "Belt"}, {"title": "Belt", "price": -1}, {"image": photo()}])
    assert vitrina.run(job.wait(timeout=60)).state == "partly_failed"
    assert [(done.place, len(done.result.embedding)) for done in vitrina.run(job.result())] == [(0, 1024), (2, 1024)]
    assert [(failure.place, failure.error.field) for failure in vitrina.run(job.failures())] == [(1, "price")]
    assert vitrina.list_jobs(limit=1).jobs[0].id == job.id
    assert [item.place for item in vitrina.get_job(job.id).failures] == [1]
    page = vitrina.get_job_result(job.id, limit=2)
    assert ([item.place for item in page.items], page.next, page.complete) == ([0, 1], 2, True)
    assert [item.place for item in vitrina.get_job_result(job.id, state="done", start=page.next).items] == [2]
    assert [seen.state for seen in vitrina.watch_job(job.id)] == []
    assert vitrina.cancel_job(job.id).state == "partly_failed"
    assert vitrina.job(job.id, models.Embedding).ended
    with pytest.raises(NotFound):
        vitrina.get_job("../models")


def test_every_kind_of_job(vitrina):
    jobs = [
        (vitrina.assess_quality_job([{"title": "Belt"}]), models.Assessment),
        (vitrina.generate_description_job([{"title": "Belt", "brand": "Fossil"}]), models.Written),
        (vitrina.put_products_job([{"product_id": "belt", "title": "Belt"}]), models.PutItem),
        (vitrina.generate_image_job([{"prompt": "Blue Shirt", "seed": 3}]), models.Drawn),
    ]
    for job, kind in jobs:
        assert vitrina.run(job.wait(timeout=60)).state == "succeeded"
        assert [type(done.result) for done in vitrina.run(job.result())] == [kind]
    assert vitrina.run(jobs[-1][0].result())[0].result.images[0].png[:4] == b"\x89PNG"


@pytest.mark.slow
def test_more_than_is_answered_at_once(vitrina):
    listings = [{"title": f"Belt {place}"} for place in range(CONFIG.max_items + 1)]
    assert len(vitrina.embed_batch(listings).items) == len(vitrina.embed_many(iter(listings))) == len(listings)
    assert len(vitrina.assess_qualities(listings).items) == len(vitrina.generate_descriptions(listings).items) == len(listings)
    with pytest.raises(ItemFailed) as caught:
        vitrina.embed_batch([*listings, {"title": "Belt", "price": -1}])
    assert caught.value.field == f"items.{len(listings)}.price"


def test_recommendations_and_events(vitrina):
    known = vitrina.recommend(
        recent_items=["a", {"item_id": "b", "kind": "view", "at": datetime(2026, 1, 1, tzinfo=UTC)}], num_recs=3
    )
    assert (known.basis, known.history, len(known.items)) == ("session", 2, 3)
    events = [{"user_id": 5, "item_id": "a", "kind": "purchase", "prediction_id": known.prediction_id}]
    assert vitrina.tell_events(events) == models.Stored(count=1, repeated=0)


def test_users_to_try_it_with(vitrina):
    known = vitrina.list_users(limit=2)
    assert [(user.user_id, user.newest[0].title) for user in known.users] == [
        (5, "Blue Denim Jacket"),
        ("user 1", "Blue Denim Jacket"),
    ]


def test_an_idempotency_key_of_the_caller_s_own(vitrina):
    named = vitrina.client.options(idempotency_key=f"night {vitrina.waits}".replace(" ", "-"))
    events = [{"user_id": 6, "item_id": "a", "kind": "view"}]
    told = [vitrina.run(named.tell_events(events)) for _ in range(2)]
    assert told == [models.Stored(count=1, repeated=0), models.Stored(count=1, repeated=1)]


def test_the_challenger_is_asked_where_the_caller_says_so(face):
    said = []

    def answer(request):
        said.append(request.headers.get("Vitrina-Alias"))
        return httpx.Response(409, json={"error": {"code": "no_challenger", "message": "there is none", "field": None}})

    client = face(transport=httpx.MockTransport(answer))
    for asked in (client.client, client.client.options(alias="challenger"), client.client.options(alias="champion")):
        with pytest.raises(Conflict, match="409 no_challenger: there is none"):
            client.run(asked.options(request_id="r").classify(title="Belt"))
    assert said == [None, "challenger", "champion"]


def test_texts(vitrina):
    written = vitrina.generate_description(**LISTING, tone="friendly", keywords=["blue"], audience="men")
    assert written.seo_title.text == "Nordal Men Blue Shirt"
    several = vitrina.generate_descriptions([{"title": "One"}, {"title": "Two"}])
    assert [item.seo_title.text for item in several.items] == ["One", "Two"]


def test_images(vitrina):
    drawn = vitrina.generate_image(prompt="Blue Shirt", candidates=2, all_candidates=True, seed=3)
    assert [image.png[:4] for image in drawn.images] == [b"\x89PNG"] * 2
    assert vitrina.generate_image_png(prompt="Blue Shirt", seed=3)[:4] == b"\x89PNG"


def test_fewshot(vitrina):
    task = vitrina.adapt_fewshot(examples=EXAMPLES, name="Ethnic wear")
    more = vitrina.adapt_fewshot(examples=[{"label": "Kurtas", "title": "Kurta"}], task_id=task.task_id)
    assert (task.version, more.version) == (1, 2)
    found = vitrina.classify_fewshot(task_id=task.task_id, items=[{"title": "Silk Saree"}])
    assert (found.items[0].label, found.version) == ("Sarees", 2)
    assert vitrina.list_fewshot_tasks(limit=1).tasks[0].name == "Ethnic wear"
    assert [known.version for known in vitrina.get_fewshot_task(task.task_id, limit=1).versions] == [2]
    assert vitrina.delete_fewshot_task(task.task_id) is None
    with pytest.raises(NotFound) as caught:
        vitrina.get_fewshot_task("../../models")
    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_feedback(vitrina):
    prediction = vitrina.classify(title="Shirt").prediction_id
    assert vitrina.send_feedback(prediction, article_type="Shirts").prediction_id == prediction


def test_the_service(vitrina):
    assert {model.name for model in vitrina.list_models().models} >= {"product", "recommender"}
    assert vitrina.list_versions("product", limit=3) == models.RegisteredVersions(model="product", versions=[])
    assert vitrina.list_moves("product") == models.Moves(model="product", moves=[])
    assert vitrina.get_readyz().ready is True
    assert vitrina.get_healthz() is None
    assert vitrina.get_livez() is None


def test_a_refusal_names_the_field_and_the_request(vitrina):
    with pytest.raises(InvalidRequest) as caught:
        vitrina.run(vitrina.client.options(request_id="order-17").embed_batch([{"title": "a"}, {"title": "b", "price": -1}]))
    error = caught.value
    assert (error.status, error.code, error.field, error.request_id) == (400, "invalid_input", "items.1.price", "order-17")
    assert str(error) == f"400 invalid_input: {error.message} (request order-17)"


def test_readiness_of_a_service_that_is_not_ready(face):
    body = {"ready": False, "models": [{"name": "product", "stale": True}]}
    transport = httpx.MockTransport(lambda request: httpx.Response(503, json=body))
    assert face(transport=transport).get_readyz().ready is False
