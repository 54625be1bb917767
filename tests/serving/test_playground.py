"""The page's place in the service: behind its keys, within its bounds, and nothing of Gradio beside it."""

import base64
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from homes import settings_of

from configs.schema import PlaygroundConfig, ServingConfig
from configs.settings import Settings
from database.keys import create
from serving import inner, run
from serving.access.gate import Gate
from serving.app import create_app
from serving.playground import Beside, address
from serving.workers import guarded
from tests.serving.conftest import CONFIG, LIMIT, Source, wait_until

SHOWN = CONFIG.model_copy(
    update={"playground": PlaygroundConfig(enabled=True, pages=1), "models": ("product",), "request_seconds": 5}
)
STREAM = "/playground/gradio_api/heartbeat/abc"


@contextmanager
def served(home, config=SHOWN):
    """Its address, the address of its database, and what stops it."""
    settings = settings_of(home)
    server = uvicorn.Server(uvicorn.Config(create_app(settings, config, Source()), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()

    def stop():
        server.should_exit = True
        thread.join(60)

    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", settings.database_url, stop
    finally:
        stop()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with served(tmp_path_factory.mktemp("shown")) as (url, _, _):
        yield url


def test_it_is_off_by_default(tmp_path):
    with served(tmp_path, SHOWN.model_copy(update={"playground": PlaygroundConfig()})) as (url, _, _):
        answer = httpx.get(f"{url}/playground/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.slow
def test_gradio_is_not_imported_with_the_service():
    script = "import sys, serving.app, serving.workers; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0


@pytest.mark.slow
def test_the_page_names_no_other_server(url):
    answer = httpx.get(f"{url}/playground/", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.text.partition("window.gradio_config")[0]
    assert "Vitrina" in answer.text
    assert not re.findall(r"(?:href|src|content)=\"(?:https?:)?//", page)
    assert "manifest" not in page
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "fonts.g" not in httpx.get(f"{url}/playground/theme.css").text


def test_its_address_without_a_slash_leads_to_it(url):
    answer = httpx.get(f"{url}/playground?tab=search&text=a%20b")
    assert (answer.status_code, answer.headers["location"]) == (307, "/playground/?tab=search&text=a%20b")


@pytest.mark.parametrize(
    "path",
    [
        "login",
        "monitoring",
        "manifest.json",
        "svelte/x",
        "gradio_api/info",
        "gradio_api/openapi.json",
        "gradio_api/proxy=http://127.0.0.1",
        "gradio_api/file=http://127.0.0.1",
        "gradio_api/call/answer",
        "gradio_api/run/answer",
        "gradio_api/vibe-code",
        "gradio_api/component_server",
        "gradio_api/deep_link",
    ],
)
def test_nothing_of_gradio_beside_the_page_is_reachable(url, path):
    answer = httpx.get(f"{url}/playground/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_no_file_but_the_page_s_own_is_given_out(url, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for path in (
        "/etc/passwd",
        Path(__file__),
        secret,
        f"{tmp_path}/../{tmp_path.name}/secret.txt",
        Path.cwd() / "pyproject.toml",
    ):
        assert httpx.get(f"{url}/playground/gradio_api/file={path}").status_code in (403, 404)


def test_another_site_cannot_ask_for_a_visitor(url):
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 400)):
        answer = httpx.post(
            f"{url}/playground/gradio_api/queue/join", json={"data": []}, headers={"Sec-Fetch-Site": site}, timeout=60
        )
        assert answer.status_code == status


@pytest.mark.parametrize("declared", [True, False])
def test_an_upload_is_as_large_as_a_body_may_be(url, declared):
    whole = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"a" * LIMIT + b"\r\n--x--\r\n"
    content = whole if declared else iter([whole[:1000], whole[1000:]])
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{url}/playground/gradio_api/upload", content=content, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.slow
def test_uploads_are_gone_when_the_server_ends(tmp_path):
    with served(tmp_path) as (url, _, stop):
        files = {"files": ("a.png", b"abc", "image/png")}
        [path] = httpx.post(f"{url}/playground/gradio_api/upload", files=files, timeout=60).json()
        assert Path(path).read_bytes() == b"abc"
        stop()
        assert not list((tmp_path / "serving").rglob("*.png"))


@pytest.mark.slow
def test_open_pages_are_bounded(tmp_path):
    with served(tmp_path) as (url, _, _stop), httpx.Client(timeout=60) as client:
        with client.stream("GET", f"{url}{STREAM}") as one, client.stream("GET", f"{url}{STREAM}") as two:
            alive = [page.iter_lines() for page in (one, two)]  # what nobody holds closes its connection
            assert [next(lines) for lines in alive] == ["data: ALIVE"] * 2
            assert client.get(f"{url}{STREAM}").json()["error"]["code"] == "too_many_streams"
            assert client.get(f"{url}/playground/").status_code == 200
        wait_until(lambda: _opens(client, f"{url}{STREAM}"))


def _opens(client, url):
    with client.stream("GET", url) as page:
        return page.status_code == 200


def test_its_requests_are_counted_under_one_name(url):
    httpx.get(f"{url}/playground/config", timeout=60)
    httpx.get(f"{url}/playground/nowhere")
    counted = {line for line in httpx.get(f"{url}/metrics").text.splitlines() if "playground" in line and "_total{" in line}
    assert {re.search(r'endpoint="([^"]*)"', line)[1] for line in counted} == {"/playground"}


@pytest.mark.slow
def test_a_key_is_asked_for_where_one_exists(tmp_path):
    access = CONFIG.access.model_copy(update={"reread_seconds": 0.02})
    with served(tmp_path, SHOWN.model_copy(update={"access": access})) as (url, database, _):
        read = create(database, "reader", ("read",), who="ada")[1]
        predict = create(database, "storefront", ("predict",), who="ada")[1]
        wait_until(lambda: httpx.get(f"{url}/playground/", timeout=60).status_code == 401)
        for path in ("/playground", "/playground/", "/playground/assets/x.js", STREAM):
            answer = httpx.get(f"{url}{path}")
            assert answer.status_code == 401
            assert 'Basic realm="vitrina"' in answer.headers["www-authenticate"]
        basic = base64.b64encode(f"me:{read}".encode()).decode()
        assert httpx.get(f"{url}/playground/", headers={"Authorization": f"Basic {basic}"}, timeout=60).status_code == 200
        refused = httpx.get(f"{url}/playground/", headers={"X-API-Key": predict})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_several_workers_share_one_page(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    monkeypatch.delenv(inner.TOKEN, raising=False)

    async def front(scope, receive, send):
        raise AssertionError

    shown = guarded(front, SHOWN)
    assert isinstance(shown, Gate)
    assert isinstance(shown.app, Beside)
    assert guarded(front, CONFIG).app is front
    app = create_app(Settings(tmp_path, "sqlite://", "sqlite://"), SHOWN, Source(), front="token")
    assert Beside not in [layer.cls for layer in app.user_middleware]


def test_a_service_behind_a_gateway_has_none(monkeypatch, tmp_path):
    monkeypatch.setenv(inner.TOKEN, "s" * 40)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = ServingConfig(port=port, playground=PlaygroundConfig(enabled=True))
    with pytest.raises(run.ServingError, match=r"playground\.enabled: a service behind a gateway"):
        run.command(Settings(tmp_path, "sqlite://", "sqlite://"), config)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),
        ("::", "http://[::1]:3000"),
        ("10.0.0.7", "http://10.0.0.7:3000"),
        ("fd00::1", "http://[fd00::1]:3000"),
        ("localhost", "http://localhost:3000"),
    ],
)
def test_the_page_asks_the_service_where_it_listens(host, found):
    assert address(host, 3000) == found
