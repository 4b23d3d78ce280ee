"""A real receiver of OTLP over HTTP, which keeps the spans that it gets."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from payment_service.telemetry import traces


@dataclass(frozen=True)
class Received:
    """A span as it came. Ids in hex; `parent` is empty for the first of a trace."""

    trace: str
    id: str
    parent: str
    name: str
    process: str
    failed: bool
    attributes: dict[str, Any]


class Receiver:
    """The spans that came so far, and what headers they came with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []

    def of(self, trace: str) -> list[Received]:
        return [span for span in self.spans if span.trace == trace]

    def take(self, headers: dict[str, str], body: bytes) -> None:
        self.headers.append(headers)
        for resource in _request(body).resource_spans:
            process = _attributes(resource.resource)["payment_service.process"]
            for scope in resource.scope_spans:
                self.spans += [_received(span, process) for span in scope.spans]


def _request(body: bytes) -> Any:
    traces.let_in()
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    return trace_service_pb2.ExportTraceServiceRequest.FromString(body)


def _attributes(thing: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in thing.attributes
    }


def _received(span: Any, process: str) -> Received:
    return Received(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        process=process,
        failed=span.status.code == 2,
        attributes=_attributes(span),
    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            receiver.take(dict(self.headers), body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """It says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
