"""OpenTelemetry: a span a request, and below it the wait for its batch and the forward pass; off unless an exporter is named.

A client's `traceparent` is gone on with, and a front's is passed to its worker. OpenTelemetry's own ASGI middleware is not used:
it writes whole addresses into spans, and an address may hold a key.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.about import About, now
from serving.access.scopes import OPEN
from serving.batching import Ran

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of OpenTelemetry: where one is set, spans are sent there as OTLP over HTTP. Its other variables count too."""
DISABLED = "OTEL_SDK_DISABLED"
"""What `serving.service` sets against BentoML's own spans; ours are made nevertheless."""
NAME = "vitrina"
SHUTDOWN_SECONDS = 5.0
"""Longest wait for spans to be sent when a process ends."""
QUIET = OPEN | {"/metrics"}
_CARRIED = (b"traceparent", b"tracestate")
"""Headers of W3C; a front passes on those of its own span."""


class Traces:
    """The spans of one process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._wanted = any(environment.get(name) for name in ENDPOINTS)
        self.tracer: Tracer | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make spans meanwhile, where they are wanted; what waits is sent at the end."""
        if not self._wanted:
            yield
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        disabled = os.environ.pop(DISABLED, None)
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or NAME})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if disabled is not None:
            os.environ[DISABLED] = disabled
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = provider.get_tracer(NAME)
        try:
            yield
        finally:
            self.tracer = None
            ending = threading.Thread(target=provider.shutdown, daemon=True)
            ending.start()
            ending.join(SHUTDOWN_SECONDS)

    def current(self) -> "Span | None":
        """The span of the request that is being answered, where one is recorded."""
        if self.tracer is None:
            return None
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        return span if span.is_recording() else None

    def batch(self, model: str, ran: Ran) -> None:
        """Below each request of a batch its wait and the forward pass that it shared."""
        if self.tracer is None:
            return
        from opentelemetry.trace import Span, set_span_in_context

        ahead = time.time() - time.monotonic()
        arrived: dict[Span, float] = {}
        for span, moment in zip(ran.within, ran.arrived, strict=True):
            if isinstance(span, Span):
                arrived[span] = min(moment, arrived.get(span, moment))
        for request, moment in arrived.items():
            within = set_span_in_context(request)
            said: dict[str, str | int] = {"vitrina.model": model, "vitrina.batch.items": len(ran.arrived)}
            for name, begun, ended in (("wait for a batch", moment, ran.begun), ("forward pass", ran.begun, ran.ended)):
                span = self.tracer.start_span(name, within, attributes=said, start_time=_nanoseconds(begun + ahead))
                span.end(_nanoseconds(ended + ahead))


class Traced:
    """ASGI middleware, inside of `Observed`: a span for each request but those of machines that look every few seconds."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        tracer = self._traces.tracer
        if tracer is None or scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator, carried = TraceContextTextMapPropagator(), dict[str, str]()
        for name, value in scope["headers"]:
            if name in _CARRIED:
                carried[name.decode()] = value.decode("latin-1")
        parent, status = propagator.extract(carried), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracer.start_as_current_span(scope["method"], parent, SpanKind.SERVER, record_exception=False) as span:
            about = now()
            if about is not None and span.is_recording():
                about.trace_id = format(span.get_span_context().trace_id, "032x")
            ours = dict[str, str]()
            propagator.inject(ours)
            others = [(name, value) for name, value in scope["headers"] if name not in _CARRIED]
            scope["headers"] = [*others, *((name.encode(), value.encode("latin-1")) for name, value in ours.items())]
            try:
                await self.app(scope, receive, noted)
            finally:
                _tell(span, scope, status, about)


def _tell(span: "Span", scope: Scope, status: int, about: About | None) -> None:
    from opentelemetry.trace import StatusCode

    route = getattr(scope.get("route"), "path", None)
    said = {
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": status,
        "vitrina.key": scope.get("state", {}).get("key"),
        "vitrina.request_id": about and about.request_id,
        "vitrina.model": about and about.model,
        "vitrina.version": about and about.version,
        "error.type": about and about.error,
    }
    span.set_attributes({name: value for name, value in said.items() if value})
    if route:
        span.update_name(f"{scope['method']} {route}")
    span.set_status(StatusCode.ERROR if status >= 500 else StatusCode.UNSET)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
