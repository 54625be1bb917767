"""Spans as a collector receives them: a request, its wait and its forward pass, in the trace of whoever asked."""

import gzip
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from database.keys import create
from serving.app import create_app
from serving.observed import Observed
from serving.traces import DISABLED, Traced, Traces
from tests.serving.conftest import CONFIG, Source, wait_until

pytestmark = pytest.mark.slow

LISTING = {"title": "Nordal Men Blue Shirt"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP on 127.0.0.1."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans, self.resources = [], []

    def named(self, name):
        return [span for span in self.spans if span.name == name]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.resources.append({item.key: item.value.string_value for item in resource.resource.attributes})
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector(monkeypatch):
    server = Collector()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv(DISABLED, "true")  # as BentoML's workers have it
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def traced(collector, settings):
    with TestClient(create_app(settings, CONFIG, Source()), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def said(span):
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_a_request_is_a_span_with_its_wait_and_its_forward_pass_below(traced, collector):
    headers = {"X-Request-ID": "traced-1", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    assert traced.post("/v1/multimodal/classify", json=LISTING, headers=headers).status_code == 200
    wait_until(lambda: collector.named("POST /v1/multimodal/classify"))
    [request] = collector.named("POST /v1/multimodal/classify")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert said(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/multimodal/classify",
        "http.response.status_code": 200,
        "vitrina.request_id": "traced-1",
        "vitrina.model": "product",
        "vitrina.version": "1",
    }
    assert request.kind == request.SPAN_KIND_SERVER
    wait_until(lambda: collector.named("wait for a batch") and collector.named("forward pass"))
    [wait], [forward] = collector.named("wait for a batch"), collector.named("forward pass")
    for below in (wait, forward):
        assert (below.trace_id, below.parent_span_id) == (request.trace_id, request.span_id)
        assert said(below) == {"vitrina.model": "product", "vitrina.batch.items": 1}
        assert request.start_time_unix_nano - 5_000_000 <= below.start_time_unix_nano <= below.end_time_unix_nano
    assert wait.end_time_unix_nano == forward.start_time_unix_nano
    assert abs(time.time_ns() - request.start_time_unix_nano) < 60e9
    assert collector.resources[0]["service.name"] == "vitrina"
    assert os.environ[DISABLED] == "true"


def test_a_request_of_several_items_has_one_wait(traced, collector):
    assert traced.post("/v1/embeddings/batch", json={"items": [{"title": str(n)} for n in range(3)]}).status_code == 200
    wait_until(lambda: collector.named("POST /v1/embeddings/batch") and collector.named("wait for a batch"))
    [wait] = collector.named("wait for a batch")
    assert said(wait)["vitrina.batch.items"] == 3


def test_errors_are_errors(traced, collector):
    traced.post("/v1/price/predict", json={"title": "crash"})
    traced.post("/v1/price/predict", json={"title": 1})
    wait_until(lambda: len(collector.named("POST /v1/price/predict")) == 2)
    spans = {said(span)["http.response.status_code"]: span for span in collector.named("POST /v1/price/predict")}
    assert (spans[500].status.code, spans[400].status.code) == (spans[500].status.STATUS_CODE_ERROR, 0)
    assert said(spans[500])["error.type"] == "internal"
    assert said(spans[400])["error.type"] == "invalid_input"


def test_no_key_and_no_address_is_in_a_span(traced, collector, settings):
    key, token = create(settings.database_url, "shop", ("read",), who="ada")
    wait_until(lambda: traced.get("/v1/models").status_code == 401)
    collector.spans.clear()
    traced.get(f"/v1/models?key={token}", headers={"X-Request-ID": "leak-1"})
    traced.get("/v1/models?a=%ff", headers={"X-API-Key": token, "X-Request-ID": "leak-2"})
    found = {}
    wait_until(lambda: {"leak-1", "leak-2"} <= {said(span).get("vitrina.request_id") for span in collector.spans})
    found = {said(span)["vitrina.request_id"]: said(span) for span in collector.spans if "vitrina.request_id" in said(span)}
    assert found["leak-1"]["http.response.status_code"] == 401
    assert found["leak-2"]["vitrina.key"] == key.id
    assert token[16:] not in str(collector.spans)
    assert "%ff" not in str(collector.spans)


def test_what_machines_ask_every_few_seconds_is_no_span(traced, collector):
    for path in ("/livez", "/readyz", "/metrics"):
        traced.get(path)
    traced.get("/v1/models", headers={"X-Request-ID": "last"})
    wait_until(lambda: collector.named("GET /v1/models"))
    assert {span.name for span in collector.spans} == {"GET /v1/models"}


@pytest.mark.parametrize("sent", ["", "00-x-y-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\xff" * 60])
def test_what_is_no_traceparent_begins_a_trace(traced, collector, sent):
    traced.get("/v1/models", headers=[(b"traceparent", sent.encode("latin-1"))])
    wait_until(lambda: collector.named("GET /v1/models"))
    [span] = collector.named("GET /v1/models")
    assert span.parent_span_id == b""
    assert span.trace_id != bytes(16)


def test_a_collector_that_is_away_costs_no_request_and_no_end(monkeypatch, settings):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    start = time.monotonic()
    with TestClient(create_app(settings, CONFIG, Source())) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert [client.get("/v1/models").status_code for _ in range(5)] == [200] * 5
    assert time.monotonic() - start < 30


def test_without_an_exporter_nothing_is_made(monkeypatch, settings):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    traces = Traces()
    with traces.opened():
        assert traces.tracer is None
        assert traces.current() is None


def test_what_a_front_passes_on_names_its_own_span(collector):
    seen = []

    async def passed_on(scope, receive, send):
        seen.append([value.decode() for name, value in scope["headers"] if name == b"traceparent"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    traces = Traces()
    with traces.opened():
        sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert TestClient(Observed(Traced(passed_on, traces))).get("/v1/models", headers=sent).status_code == 204
    [span] = collector.named("GET")
    assert seen == [[f"00-{TRACE}-{span.span_id.hex()}-01"]]
    assert span.parent_span_id.hex() == PARENT
