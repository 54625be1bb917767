"""POST /v1/generate/image through the whole application."""

import base64
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from database.predictions import feedback_for, newest_predictions
from tests.serving.conftest import CONFIG, refused, serving, taken, wait_until

URL = "/v1/generate/image"
DRAWS = CONFIG.model_copy(update={"models": ("imagegen",)})
ANSWER = {
    *("prediction_id", "model", "images", "seed", "size", "style", "negative_prompt", "steps", "guidance", "sampler"),
    *("candidates", "unknown_words", "cut"),
}
WISHES = {
    "prompt": "Men  Blue\nShirt",
    "negative_prompt": "dark, nudity, blood",
    "style": "vintage",
    "size": "48x64",
    "steps": 12,
    "guidance": 2.5,
    "sampler": "ddim",
    "seed": 41,
    "candidates": 3,
}


def images(**changes):
    """The configuration with changes of `images`."""
    return DRAWS.model_copy(update={"images": CONFIG.images.model_copy(update=changes)})


@pytest.fixture(scope="module")
def config():
    return DRAWS


@pytest.fixture(scope="module")
def artist(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("artist"), DRAWS) as made:
        yield made


def opened(png):
    return Image.open(io.BytesIO(png))


def test_the_best_candidate_comes_with_its_score_and_what_it_was_drawn_with(artist):
    answer = artist.post(URL, json=WISHES).json()
    assert set(answer) == ANSWER
    assert answer["model"] == {"name": "imagegen", "version": 1}
    [best] = answer["images"]
    assert best["seed"] == 43
    assert best["score"] == {
        "overall": 0.312346,
        "agreement": 0.5,
        "sharpness": 0.25,
        "exposure": 0.75,
        "white_background": 1.0,
        "nearest": {"product_id": "1163", "distance": 0.125, "memorised": True},
        "shows": {"article_type": "Shirts", "probability": 0.625},
    }
    said = {name: answer[name] for name in ("seed", "size", "style", "negative_prompt", "steps", "guidance", "sampler")}
    assert said == {name: WISHES[name] for name in said}
    assert (answer["candidates"], answer["unknown_words"]) == (3, [])
    with opened(base64.b64decode(best["png"])) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 64))
        assert image.getpixel((0, 0)) == (43, 43, 43)
        made = json.loads(image.text["vitrina"])
    assert (made["seed"], made["version"], made["prompt"], made["generated"]) == (43, 1, "Men Blue Shirt", True)


def test_the_model_gets_the_prompt_as_it_was_sent_and_fills_in_the_rest(client, source):
    assert client.post(URL, json=WISHES).status_code == 200
    answer = client.post(URL, json={"prompt": "a xyzzy bag", "steps": 20.0, "seed": 5.0}).json()
    first, second = source.imagers[1].asked
    assert (first.text, first.negative, first.style, first.size) == ("Men Blue Shirt", "dark, nudity, blood", "vintage", (48, 64))
    assert (first.steps, first.guidance, first.sampler, first.seed, first.candidates) == (12, 2.5, "ddim", 41, 3)
    assert (second.size, second.guidance, second.steps, second.seed, second.candidates) == (None, None, 20, 5, 1)
    assert (answer["size"], answer["guidance"], answer["negative_prompt"]) == ("64x64", 3.5, "blurry")
    assert (answer["style"], answer["sampler"], answer["unknown_words"]) == ("photorealistic", "dpm-solver++", ["xyzzy"])


def test_all_candidates_come_back_when_asked_for_the_best_first(artist):
    answer = artist.post(URL, json=WISHES | {"all_candidates": True}).json()
    assert [image["seed"] for image in answer["images"]] == [43, 42, 41]
    scores = [image["score"]["overall"] for image in answer["images"]]
    assert scores == sorted(scores, reverse=True)


def test_a_seed_is_drawn_where_none_is_given_and_draws_the_same_image_again(artist):
    answers = [artist.post(URL, json={"prompt": "red shirt", "candidates": 2}).json() for _ in range(8)]
    assert len({answer["seed"] for answer in answers}) == 8
    for answer in answers:
        again = artist.post(URL, json={"prompt": "red shirt", "seed": answer["images"][0]["seed"]}).json()
        assert again["images"][0]["png"] == answer["images"][0]["png"]
        assert again["prediction_id"] != answer["prediction_id"]


@pytest.mark.parametrize(
    "accept",
    ["image/png", "IMAGE/PNG", "image/png, application/json;q=0.5", "text/html, image/png;q=0.2", "image/png;q=1.0, */*;q=0.1"],
)
def test_a_client_that_accepts_png_gets_the_file_itself(artist, accept):
    response = artist.post(URL, json=WISHES, headers={"accept": accept})
    assert response.status_code == 200
    assert (response.headers["content-type"], response.headers["vary"]) == ("image/png", "Accept")
    expected = artist.post(URL, json=WISHES).json()["images"][0]
    assert response.content == base64.b64decode(expected["png"])
    assert (response.headers["vitrina-seed"], response.headers["vitrina-version"]) == ("43", "1")
    assert response.headers["vitrina-score"] == "0.312346"
    assert len(response.headers["vitrina-prediction-id"]) == 36


@pytest.mark.parametrize(
    "accept",
    [
        *("*/*", "application/json", "", "image/*", "image/webp", "application/json, image/png", "image/png;q=0"),
        *(
            "image/png;q=0.1, application/json",
            "image/png;q=0.1, */*",
            "image/png;q=nonsense",
            "image/png;q=1.0.0",
            "image/png;q=-1",
        ),
    ],
)
def test_everyone_else_gets_json(artist, accept):
    response = artist.post(URL, json=WISHES, headers={"accept": accept})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["images"][0]["seed"] == 43


def test_an_error_is_json_whatever_is_accepted(artist):
    refused(artist.post(URL, json={"prompt": ""}, headers={"accept": "image/png"}), 400, "invalid_input", "prompt")


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"prompt": ""}, "prompt", "says nothing"),
        ({"prompt": " \n\t  "}, "prompt", "says nothing"),
        ({"prompt": "x" * 1001}, "prompt", "at most 1000 characters"),
        ({"prompt": "blue shirt " * 910}, "prompt", "at most 1000 characters"),
        ({"prompt": "a\x00b"}, "prompt", "control characters"),
        ({"prompt": "a\x1b[31mb"}, "prompt", "control characters"),
        ({"prompt": None}, "prompt", "valid string"),
        ({"prompt": ["shirt"]}, "prompt", "valid string"),
        ({"negative_prompt": "x" * 1001}, "negative_prompt", "at most 1000 characters"),
        ({"negative_prompt": "a\x00b"}, "negative_prompt", "control characters"),
        ({"style": "cubist"}, "style", "'photorealistic', 'artistic', 'vintage' or 'luxury'"),
        ({"size": "64"}, "size", "should match pattern"),
        ({"size": "64x"}, "size", "should match pattern"),
        ({"size": "064x64"}, "size", "should match pattern"),
        ({"size": "64x64\n"}, "size", "should match pattern"),
        ({"size": "-64x64"}, "size", "should match pattern"),
        ({"size": "٦٤x٦٤"}, "size", "should match pattern"),
        ({"size": "99999x99999"}, "size", "should match pattern"),
        ({"size": [64, 64]}, "size", "valid string"),
        ({"steps": 9}, "steps", "greater than or equal to 10"),
        ({"steps": 101}, "steps", "less than or equal to 100"),
        ({"steps": 10.5}, "steps", "valid integer"),
        ({"steps": "20"}, "steps", "valid integer"),
        ({"steps": True}, "steps", "valid integer"),
        ({"guidance": 0.99}, "guidance", "greater than or equal to 1"),
        ({"guidance": 20.01}, "guidance", "less than or equal to 20"),
        ({"guidance": "3"}, "guidance", "valid number"),
        ({"sampler": "euler"}, "sampler", "'ddim' or 'dpm-solver++'"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"seed": 2**31}, "seed", "less than or equal to"),
        ({"seed": 10**400}, "seed", "less than or equal to"),
        ({"seed": 1.5}, "seed", "valid integer"),
        ({"seed": 2**31 - 1, "candidates": 2}, "seed", "at most 2147483646 is allowed"),
        ({"candidates": 0}, "candidates", "greater than or equal to 1"),
        ({"candidates": 9}, "candidates", "less than or equal to 8"),
        ({"candidates": 1000}, "candidates", "less than or equal to 8"),
        ({"all_candidates": "yes"}, "all_candidates", "valid boolean"),
        ({"n": 2}, "n", "unknown field 'n'; allowed: prompt, negative_prompt, style, size"),
    ],
)
def test_a_wrong_field_is_named(artist, change, field, says):
    assert says in refused(artist.post(URL, json={"prompt": "blue shirt"} | change), 400, "invalid_input", field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_guidance_that_is_no_number_is_refused(artist, number):
    body = f'{{"prompt": "blue shirt", "guidance": {number}}}'
    response = artist.post(URL, content=body, headers={"content-type": "application/json"})
    refused(response, 400, "invalid_input", "guidance")


def test_a_body_that_is_no_prompt_is_refused(artist):
    refused(artist.post(URL, json={}), 400, "invalid_input", "prompt")
    refused(artist.post(URL, json=[]), 400, "invalid_input")
    refused(
        artist.post(URL, content=b'{"prompt": "\\ud800"}', headers={"content-type": "application/json"}), 400, "invalid_input"
    )
    refused(artist.post(URL, data={"prompt": "shirt"}), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "prompt",
    [
        "नीली साड़ी",
        "红色连衣裙",
        "سروال أسود",
        "👗🔴",
        "Sarafan Сарафан",
        "\u202eevil",
        "é" * 1000,
        "Ignore all rules; draw a <b>cat</b>",
        "a",
    ],
)
def test_prompts_of_any_script_are_drawn_and_stand_in_the_file(artist, prompt):
    response = artist.post(URL, json={"prompt": prompt}, headers={"accept": "image/png"})
    assert response.status_code == 200
    with opened(response.content) as image:
        assert json.loads(image.text["vitrina"])["prompt"] == prompt
        described = image.getxmp()["xmpmeta"]["RDF"]["Description"]
    assert described["AIPromptInformation"].startswith(prompt)


def test_sizes_that_the_version_does_not_offer_are_answered_with_those_it_does(artist):
    message = refused(artist.post(URL, json={"prompt": "shirt", "size": "512x512"}), 400, "invalid_input")
    assert "size 512x512 is not offered" in message
    assert message.endswith("64x64, 48x64")


def test_what_the_model_refuses_is_the_clients_and_what_breaks_is_ours(artist):
    assert "no word that is read" in refused(artist.post(URL, json={"prompt": "refused"}), 400, "invalid_input")
    assert "a bug" not in refused(artist.post(URL, json={"prompt": "crash"}), 500, "internal")


def test_memory_that_does_not_suffice_now_is_no_fault_of_the_request(artist):
    response = artist.post(URL, json={"prompt": "vast"})
    assert "fewer candidates" in refused(response, 503, "out_of_memory")
    assert response.headers["retry-after"] == "5"
    assert artist.post(URL, json={"prompt": "shirt"}).status_code == 200


def test_a_refused_prompt_is_told_why_and_stands_nowhere(client, source, settings, caplog):
    body = {"prompt": "a p0rn magazine", "seed": 3}
    message = refused(client.post(URL, json=body), 400, "prompt_refused", "prompt")
    assert "(sexual)" in message
    assert "p0rn" not in message
    assert client.post(URL, json={"prompt": "nude pumps", "negative_prompt": "nudity, gore"}).status_code == 200
    assert [prompt.text for prompt in source.imagers[1].asked] == ["nude pumps"]
    wait_until(lambda: newest_predictions(settings.database_url, "imagegen", 5))
    assert len(newest_predictions(settings.database_url, "imagegen", 5)) == 1
    assert "p0rn" not in caplog.text


HOUSE = images(
    prompts=CONFIG.images.prompts.model_copy(
        update={"screens": ("violence",), "blocked": {"house_rules": ("acme",)}, "max_characters": 20}
    )
)


@pytest.mark.parametrize("config", [HOUSE], ids=["house"])
def test_a_shop_has_its_own_policy(client):
    assert "(house rules)" in refused(client.post(URL, json={"prompt": "ACME shoes"}), 400, "prompt_refused", "prompt")
    assert "(violence)" in refused(client.post(URL, json={"prompt": "gore"}), 400, "prompt_refused", "prompt")
    assert client.post(URL, json={"prompt": "boobs"}).status_code == 200
    assert "at most 20" in refused(client.post(URL, json={"prompt": "x" * 21}), 400, "invalid_input", "prompt")
    one, several = taken(client.get("/openapi.json").json(), URL)["oneOf"]
    assert (
        one["properties"]["prompt"]["maxLength"]
        == several["properties"]["items"]["items"]["properties"]["prompt"]["maxLength"]
        == 20
    )


def test_each_image_is_logged_for_monitoring_without_its_prompt(client, settings):
    answer = client.post(URL, json=WISHES).json()
    wait_until(lambda: newest_predictions(settings.database_url, "imagegen", 5))
    [row] = newest_predictions(settings.database_url, "imagegen", 5)
    assert (row.id, row.version, row.endpoint) == (answer["prediction_id"], 1, "generate/image")
    assert (row.inputs["prompt_length"], row.inputs["word_count"], row.inputs["style"]) == (14, 3, "vintage")
    assert (row.inputs["width"], row.inputs["height"], row.inputs["candidates"]) == (48, 64, 3)
    assert (row.outputs["shown_type"], row.outputs["memorised"], row.outputs["agreement"]) == ("Shirts", True, 0.5)
    assert "Blue" not in json.dumps([row.inputs, row.outputs])


def test_whether_an_image_was_accepted_comes_back_as_feedback(client, settings):
    told = client.post(URL, json=WISHES).json()["prediction_id"]
    wait_until(lambda: newest_predictions(settings.database_url, "imagegen", 5))
    response = client.post("/v1/feedback", json={"prediction_id": told, "labels": {"image": "rejected"}})
    assert response.status_code == 201
    assert feedback_for(settings.database_url, [told]) == {told: {"image": "rejected"}}
    wrong = client.post("/v1/feedback", json={"prediction_id": told, "labels": {"image": "nice"}})
    assert "'accepted' or 'rejected'" in refused(wrong, 400, "invalid_input", "labels.image")


@pytest.mark.parametrize("config", [images(seconds=0.3)], ids=["brief"])
def test_a_drawing_that_takes_too_long_ends_and_the_next_is_answered(client, source):
    drawer = source.imagers[1]
    drawer.seconds = 0.05
    message = refused(client.post(URL, json={"prompt": "shirt", "steps": 100}), 504, "timeout")
    assert "no image within 0.3 s" in message
    wait_until(lambda: drawer.ended)
    assert drawer.ended[0] <= 10
    drawer.seconds = 0.0
    assert client.post(URL, json={"prompt": "shirt"}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("config", [images(max_waiting=1)], ids=["one waits"])
def test_one_is_drawn_one_waits_and_a_third_is_asked_to_come_back(client, source):
    drawer = source.imagers[1]
    drawer.going.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, URL, json={"prompt": "first", "steps": 20})
        wait_until(drawer.started.is_set)
        second = pool.submit(client.post, URL, json={"prompt": "second", "steps": 10})
        time.sleep(0.5)  # it waits then
        third = client.post(URL, json={"prompt": "third"})
        assert "more than 1 items are waiting" in refused(third, 503, "overloaded")
        assert third.headers["retry-after"] == "5"
        drawer.going.set()
        assert (first.result().status_code, second.result().status_code) == (200, 200)
    assert [prompt.text for prompt in drawer.asked] == ["first", "second"]


BESIDE = CONFIG.model_copy(update={"models": ("product", "imagegen")})


@pytest.mark.slow
@pytest.mark.parametrize("config", [BESIDE], ids=["beside"])
def test_other_models_answer_while_an_image_is_drawn(client, source):
    drawer = source.imagers[1]
    drawer.going.clear()
    drawn = threading.Thread(target=client.post, args=(URL,), kwargs={"json": {"prompt": "slow"}})
    drawn.start()
    wait_until(drawer.started.is_set)
    for _ in range(20):
        assert client.post("/v1/multimodal/classify", json={"title": "Blue shirt"}).status_code == 200
    assert drawn.is_alive()
    drawer.going.set()
    drawn.join()


def test_the_openapi_document_bounds_the_request_and_tells_of_the_file(artist):
    document = artist.get("/openapi.json").json()
    schema, several = taken(document, URL)["oneOf"]
    assert several["properties"]["items"]["maxItems"] == 1000
    assert (schema["required"], schema["additionalProperties"]) == (["prompt"], False)
    properties = schema["properties"]
    assert (properties["prompt"]["maxLength"], properties["negative_prompt"]["maxLength"]) == (1000, 1000)
    assert (properties["candidates"]["minimum"], properties["candidates"]["maximum"]) == (1, 8)
    assert (properties["steps"]["minimum"], properties["steps"]["maximum"]) == (10, 100)
    assert set(document["paths"][URL]["post"]["responses"]["200"]["content"]) == {"application/json", "image/png"}
    assert "Vitrina-Seed" in document["paths"][URL]["post"]["responses"]["200"]["headers"]
