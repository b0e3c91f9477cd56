"""Tells a receiver of OTLP, by HTTP and protobuf, of batches as spans and of the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from prometheus_client import core

from contracts import BatchReport
from monitoring.receivers.measurements import measurements
from monitoring.receivers.outbox import Parcel, Receiver, RefusedError
from monitoring.receivers.spans import resource_of, spans_of
from monitoring.receivers.web import TIMEOUT_SECONDS, Asking, below, quiet

TRACES, METRICS = "v1/traces", "v1/metrics"
# It tells of no batch: the metrics, as they are when it is delivered.
_MEASURE = Parcel(0, None)


class Traces(Receiver):
    """Sends each batch of `pipeline` as a trace, and `families`, its metrics, every `seconds`.

    Metrics that do not get through are not kept: the next ones say the same and more.
    """

    label, title, setting = "otlp", "The OTLP receiver", "OTLP_ENDPOINT"

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        pipeline: str,
        families: Callable[[], Iterable[core.Metric]],
        seconds: float,
    ) -> None:
        # They import requests, which tries out IPv6.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        quiet("opentelemetry")
        self.every_seconds = seconds
        self._families, self._resource = families, resource_of(pipeline)
        self._measured: float | None = None
        self._asking = Asking(endpoint)
        more: dict[str, Any] = {
            "headers": headers,
            "timeout": TIMEOUT_SECONDS,
            "session": self._asking.session,
        }
        self._spans = OTLPSpanExporter(endpoint=below(endpoint, TRACES), **more)
        self._metrics = OTLPMetricExporter(endpoint=below(endpoint, METRICS), **more)

    def parcels(self, report: BatchReport) -> Iterable[Parcel]:
        """Return the spans of a batch; the metrics too, if they are due."""
        found = [Parcel(1, spans_of(report, self._resource))]
        now = time.monotonic()
        if self._measured is None or now - self._measured >= self.every_seconds:
            self._measured = now
            found.append(_MEASURE)
        return found

    def rest(self, ending: bool) -> Iterable[Parcel]:  # noqa: ARG002 - at the end too
        """Return the metrics, which every look of the source may have changed."""
        self._measured = time.monotonic()
        return [_MEASURE]

    def deliver(self, parcel: Parcel) -> None:
        """Send spans or metrics."""
        if not (self._spans_taken(parcel.content) if parcel.content else self._metrics_taken()):
            raise self._asking.fault or RefusedError("the exporter cannot encode it")

    def _spans_taken(self, spans: Sequence[ReadableSpan]) -> bool:
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def _metrics_taken(self) -> bool:
        data = measurements(self._families(), self._resource)
        return self._metrics.export(data) is MetricExportResult.SUCCESS
