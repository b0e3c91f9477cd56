"""A receiver of OpenLineage and OTLP: a real HTTP server that decodes both protocols, and is strict.

What is no valid event, or no protobuf of OTLP, it answers with 400 and notes in `violations`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from openlineage.client import facet_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

LINEAGE, TRACES, METRICS = "/api/v1/lineage", "/v1/traces", "/v1/metrics"
_FACETS: dict[str, Any] = {
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "documentation": facet_v2.documentation_job.DocumentationJobFacet,
    "inputStatistics": facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


class FakeReceiver:
    """Starts listening when it is made; every attribute may be changed while it runs."""

    def __init__(self) -> None:
        # Answer everything with this status, as a broken one does.
        self.broken: int | None = None
        # Unset: nobody gets an answer.
        self.answers = threading.Event()
        self.answers.set()
        self.events: list[RunEvent] = []
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.spans: list[Any] = []
        self.resources: list[Any] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.violations: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.answers.wait()
                given = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.take(self.path, given, body)
                with suppress(OSError):
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", f"{receiver.address}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer."""
        self.headers.append(headers)
        self.bodies.append(body)
        if self.broken:
            return self.broken
        try:
            return self._decode(path, headers.get("content-type", ""), body)
        except (ValueError, TypeError, KeyError, DecodeError) as error:
            self.violations.append(f"{path}: {error!r}: {body[:200]!r}")
            return 400

    def _decode(self, path: str, kind: str, body: bytes) -> int:
        if path == LINEAGE and kind == "application/json":
            self.events.append(event_of(json.loads(body)))
            return 201
        if path in (TRACES, METRICS) and kind == "application/x-protobuf":
            self._take_protobuf(path, body)
            return 200
        return 404

    def _take_protobuf(self, path: str, body: bytes) -> None:
        if path == METRICS:
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
            return
        for found in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(found.resource)
            self.spans += [span for scope in found.scope_spans for span in scope.spans]

    def ended(self) -> list[RunEvent]:
        """The last event of each run."""
        return [event for event in self.events if event.eventType is not RunState.START]

    def close(self) -> None:
        """Stop listening."""
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[FakeReceiver]:
    """One that is gone after the block, and got nothing but what is valid."""
    made = FakeReceiver()
    try:
        yield made
    finally:
        made.close()
    assert made.violations == []


def event_of(document: dict[str, Any]) -> RunEvent:
    """The event of a JSON document. Raises ValueError, TypeError or KeyError for what is none."""
    rest = dict(document)
    if rest.pop("schemaURL") != RunEvent._get_schema():
        raise ValueError("another schema")
    run, job = rest.pop("run"), rest.pop("job")
    return RunEvent(
        eventType=RunState(rest.pop("eventType")),
        run=Run(run.pop("runId"), _facets(run.pop("facets", {})), **run),
        job=Job(job.pop("namespace"), job.pop("name"), _facets(job.pop("facets", {})), **job),
        inputs=[InputDataset(**_dataset(one, "inputFacets")) for one in rest.pop("inputs")],
        outputs=[OutputDataset(**_dataset(one, "outputFacets")) for one in rest.pop("outputs")],
        **rest,
    )


def _dataset(document: dict[str, Any], facets: str) -> dict[str, Any]:
    return {**document, "facets": {}, facets: _facets(document.get(facets, {}))}


def _facets(documents: dict[str, Any]) -> dict[str, Any]:
    """Each by its class; of another one only what every facet must have is looked at."""
    found = {}
    for name, document in documents.items():
        fields = dict(document)
        producer, schema = fields.pop("_producer"), fields.pop("_schemaURL")
        if kind := _FACETS.get(name):
            if schema != kind._get_schema():
                raise ValueError(f"another schema of {name}")
            found[name] = kind(**fields, producer=producer)
        else:
            if ":" not in producer or ":" not in schema or "_" not in name:
                raise ValueError(f"no facet of our own: {name}")
            found[name] = fields
    return found
