"""Jobs over HTTP with PostgreSQL, which holds less in a text than SQLite does."""

import pytest
from starlette.testclient import TestClient

from configs.settings import Settings
from serving.app import create_app
from tests.database.conftest import postgres_server, postgres_url  # noqa: F401 - fixtures
from tests.serving.conftest import Source, wait_until
from tests.serving.test_jobs import ALL, PREFER, lines, work

ODD = (
    '{"a\\u0000b": 1}',
    '{"title": "a\\u0000b"}',
    '{"title": "x", "price": 1e400}',
    '{"title": "x", "attributes": {"\\u0000": "y"}}',
)
JSON = PREFER | {"content-type": "application/json"}


@pytest.fixture
def client(postgres_url, tmp_path):  # noqa: F811
    settings = Settings(tmp_path, postgres_url, f"sqlite:///{tmp_path / 'mlflow.db'}")
    with TestClient(create_app(settings, ALL, Source()), raise_server_exceptions=False) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        yield made


def test_characters_that_it_does_not_hold_fail_their_items_alone(client, postgres_url):  # noqa: F811
    body = '{"items": [' + ", ".join(('{"title": "good 小さい 👗"}', *ODD)) + "]}"
    response = client.post("/v1/embeddings/batch", content=body, headers=JSON)
    assert response.status_code == 202, response.text
    work(postgres_url)
    found = lines(client, response.json())
    assert [line["state"] for line in found] == ["done", *["failed"] * len(ODD)]
    assert found[1]["error"]["field"] == "a\x00b"
    again = client.post("/v1/embeddings/batch", content=body, headers=JSON)
    assert again.json()["id"] != response.json()["id"]
    assert client.get(f"/v1/jobs/{response.json()['id']}").json()["state"] == "partly_failed"


@pytest.mark.slow
@pytest.mark.parametrize("half", ['{"title": "\\ud800"}', '{"\\udfff": 1}'])
def test_half_a_character_is_no_json(client, half):
    response = client.post("/v1/embeddings/batch", content='{"items": [' + half + "]}", headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_input"


@pytest.mark.parametrize("name", ["a%00b", "%ff", "8c0f3c8e-4a4e-4f4e-9a53-0c6b0a6f1f0e"])
def test_what_names_no_job_is_404(client, name):
    assert client.get(f"/v1/jobs/{name}").status_code == 404
