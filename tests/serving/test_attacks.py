"""One test a class of attack that this stack has known; each tries it."""

import base64
import io
import json
import pickle
import struct
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from PIL import Image

from tests.serving.conftest import LIMIT, photo, refused

URL = "/v1/multimodal/analyze"
REVIEWS = "/v1/sentiment/analyze"
JSON = {"content-type": "application/json"}


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.bentoml+pickle",
        "application/octet-stream",
        "application/x-python-pickle",
        "application/json",
        "application/vnd.bentoml.stream",
        "multipart/form-data; boundary=x",
        "",
    ],
)
def test_a_pickled_body_is_never_unpickled(steady, tmp_path, kind):
    target = tmp_path / "owned"
    body = pickle.dumps(Bomb(target))
    headers = {"content-type": kind, "payload-container": "NdarrayContainer", "payload-meta": "{}", "batch-size": "1"}
    response = steady.post(URL, content=body, headers=headers)
    assert response.status_code in (400, 415)
    assert steady.post(REVIEWS, content=body, headers=headers).status_code in (400, 415)
    refused(steady.post(URL, json={"image": base64.b64encode(body).decode()}), 400, "invalid_input", "image")
    refused(steady.post(URL, files={"image": ("a.pkl", body, "application/octet-stream")}), 400, "invalid_input", "image")
    assert not target.exists()


@pytest.fixture
def trap():
    """A web server that remembers who asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(photo())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/photo.jpg", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_url_is_ever_fetched(steady, trap):
    url, asked = trap
    for image in (url, url.replace("http", "HTTP", 1), "file:///etc/passwd", "data:image/jpeg;base64,AAAA", "//127.0.0.1/x"):
        refused(steady.post(URL, json={"image": image}), 400, "invalid_input", "image")
        refused(steady.post(URL, files={"image": (None, image)}), 400, "invalid_input", "image")
    refused(steady.post(URL, files={"image": ("a.url", url.encode())}), 400, "invalid_input", "image")
    refused(steady.post(URL, json={"image_url": url}), 400, "invalid_input", "image_url")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode()
    refused(steady.post(URL, files={"image": ("a.svg", svg)}), 400, "invalid_input", "image")
    assert steady.post(URL, json={"title": url, "description": f'<img src="{url}">'}).status_code == 200
    assert steady.post(REVIEWS, json={"reviews": [{"title": url, "text": f'<img src="{url}">'}]}).status_code == 200
    assert asked == []


def png(width, height, rows):
    """A PNG that claims `width` × `height` pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (1_000_001, 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(steady, width, height):
    bomb = png(width, height, bytes(1_000_000))
    assert len(bomb) < 10_000
    start = time.perf_counter()
    refused(steady.post(URL, files={"image": ("a.png", bomb)}), 400, "invalid_input", "image")
    assert time.perf_counter() - start < 30  # it takes a tenth of a second


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PDF", "EPS"])
def test_other_image_formats_never_reach_their_decoders(steady, kind):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, kind)
    refused(steady.post(URL, files={"image": ("a.jpg", buffer.getvalue(), "image/jpeg")}), 400, "invalid_input", "image")


def test_a_body_that_declares_too_much_is_refused_unread(steady):
    response = steady.post(URL, content=b"{}", headers=JSON | {"content-length": str(LIMIT + 1)})
    refused(response, 413, "too_large")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "²"])
def test_a_length_that_is_no_number_is_refused(steady, length):
    refused(steady.post(URL, content=b"{}", headers=[*JSON.items(), ("content-length", length.encode())]), 400, "invalid_input")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_stream_without_a_length_is_cut_off(steady, kind):
    sent = []

    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' if "form" in kind else b'{"title": "'
        for _ in range(50):
            sent.append(1)
            yield b"a" * (LIMIT // 10)

    refused(steady.post(URL, content=endless(), headers={"content-type": kind}), 413, "too_large")


def test_a_compressed_body_is_not_inflated(steady):
    bomb = zlib.compress(b'{"title": "' + b"a" * 10_000_000 + b'"}')
    for encoding in ("gzip", "deflate", "br", "GZip"):
        refused(steady.post(URL, content=bomb, headers=JSON | {"content-encoding": encoding}), 415, "unsupported_media_type")


@pytest.mark.parametrize("body", ["[" * 50_000, '{"a":' * 30_000, '{"attributes":' + "[" * 5000 + "]" * 5000 + "}"])
def test_deep_nesting_is_refused(steady, body):
    refused(steady.post(URL, content=body, headers=JSON), 400, "invalid_input")
    form = {"attributes": (None, "[" * 50_000)}
    refused(steady.post(URL, files=form), 400, "invalid_input", "attributes")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_refused(steady, value):
    message = refused(steady.post(URL, content=f'{{"title":"a","price":{value}}}', headers=JSON), 400, "invalid_input", "price")
    assert "NaN" not in message
    refused(steady.post(URL, files={"title": (None, "a"), "price": (None, value)}), 400, "invalid_input", "price")


@pytest.mark.parametrize("url", [URL, REVIEWS])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"a"', b"{", b"\xff\xfe{}", b'{"title":"\\ud800"}', b'{"title":"a"} x', b"{\"title\": 'a'}", b"\x00"],
)
def test_what_is_no_json_object_is_refused(steady, body, url):
    refused(steady.post(url, content=body, headers=JSON), 400, "invalid_input")


@pytest.mark.parametrize("body", ["[" * 50_000, '{"reviews":' * 15_000, '{"reviews":' + "[" * 50_000 + "]" * 50_000 + "}"])
def test_reviews_nested_deeply_are_refused(steady, body):
    refused(steady.post(REVIEWS, content=body, headers=JSON), 400, "invalid_input")


def test_more_reviews_than_allowed_are_refused_before_their_texts_are_read(steady, monkeypatch):
    monkeypatch.setattr("serving.routes.product.clean_review", None)
    start = time.perf_counter()
    refused(steady.post(REVIEWS, json={"reviews": [{"text": "a"}] * 15_000}), 400, "invalid_input", "reviews")
    assert time.perf_counter() - start < 30  # it takes a tenth of a second


@pytest.mark.parametrize(
    "unit", ["<", "&amp;", "<!--", '<a href="', "&#9999999999;", "<p><b>", "\ufdfa", "e\u0301", "</", "<script>"]
)
def test_a_review_of_markup_without_end_is_read_in_time(steady, unit):
    text = (unit * 50_000)[:40_000]
    start = time.perf_counter()
    assert steady.post(REVIEWS, json={"reviews": [{"title": "good", "text": text}]}).status_code == 200
    assert time.perf_counter() - start < 30  # it takes a tenth of a second


def test_reviews_cut_off_by_size_and_encoding(steady):
    refused(steady.post(REVIEWS, json={"reviews": [{"text": "a" * 50_000}] * 5}), 413, "too_large")
    bomb = zlib.compress(b'{"reviews":[{"text":"' + b"a" * 1_000_000 + b'"}]}')
    refused(steady.post(REVIEWS, content=bomb, headers=JSON | {"content-encoding": "gzip"}), 415, "unsupported_media_type")


def form(parts):
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n'
    return "".join(f"--x\r\n{head.format(name)}{value}\r\n" for name, value in parts) + "--x--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        form((f"f{i}", "a") for i in range(3000)),
        form((f"f{i}", "") for i in range(33)),
        form([("title", "a"), ("title", "b")]),
        form([("title", "a"), ("attributes", f'{{"a": {"9" * 5000}}}')]),
        form([("description", "a" * 199_000)]) + "--x",
        "--x\r\n" + "".join(f"X-{i}: a\r\n" for i in range(5000)) + "\r\na\r\n--x--\r\n",
        "--x\r\nContent-Disposition: form-data; name=" + "a" * 100_000 + "\r\n\r\na\r\n--x--\r\n",
        "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n",
        "--y\r\n\r\n",
        "no form at all",
        "",
    ],
    ids=["parts", "fields", "twice", "digits", "field", "headers", "name", "nameless", "boundary", "text", "empty"],
)
def test_a_form_that_is_a_bomb_or_no_form_is_refused(steady, body):
    start = time.perf_counter()
    response = steady.post(URL, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_input"
    assert time.perf_counter() - start < 30  # it takes a tenth of a second


def test_a_form_without_boundary_with_many_files_or_a_file_for_text_is_refused(steady):
    refused(steady.post(URL, content="x", headers={"content-type": "multipart/form-data"}), 400, "invalid_input")
    two = [("image", ("a", photo())), ("image", ("b", photo()))]
    assert steady.post(URL, files=two).status_code == 400
    refused(steady.post(URL, files={"title": ("a.txt", b"shirt")}), 400, "invalid_input", "title")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "image/jpeg", "json"])
def test_other_content_types_are_refused(steady, kind):
    refused(steady.post(URL, content=b'{"title":"a"}', headers={"content-type": kind}), 415, "unsupported_media_type")
    refused(steady.post("/v1/embeddings/batch", files={"items": ("a", b"a")}), 415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(steady, method):
    response = steady.request(method, URL)
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    refused(steady.post("/readyz"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/assets/../../../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/__init__.py",
        "/assets/..%2f..%2f..%2f__init__.py",
        "/assets//etc/passwd",
        "/assets/%00",
        "/v1/models/../../etc/passwd",
        "/static_content/swagger-ui.css",
        "/schema.json",
        "/docs.json",
        "/docs",
        "/redoc",
        "/multimodal/analyze",
    ],
)
def test_no_path_leads_out_or_to_what_is_not_ours(steady, path):
    response = steady.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert "root:" not in response.text


def test_proxy_headers_change_nothing(steady):
    headers = {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "evil.example",
        "x-forwarded-prefix": "/evil",
        "host": "evil.example",
    }
    plain, forged = steady.get("/openapi.json"), steady.get("/openapi.json", headers=headers)
    assert plain.json() == forged.json()
    assert "evil" not in steady.get("/", headers=headers).text


def test_an_error_never_carries_markup_or_the_servers_paths(steady):
    response = steady.get("/<script>alert(1)</script>")
    assert response.headers["content-type"] == "application/json"
    text = json.dumps([response.json(), steady.post(URL, json={"title": "crash"}).json()])
    assert "Traceback" not in text
    assert ".py" not in text
