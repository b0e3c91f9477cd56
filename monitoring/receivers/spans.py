"""A batch as a span of OpenTelemetry, with its steps as child spans."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from contracts import BatchReport

SCOPE = InstrumentationScope("pulse")
_NANOSECONDS = 1_000_000
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_FAILED = "The batch failed and comes again; the log of the pipeline says why."
_IDS = RandomIdGenerator()


def resource_of(pipeline: str) -> Resource:
    """Returns what a receiver calls the service."""
    return Resource({"service.name": f"pulse-{pipeline}", "service.namespace": "pulse"})


def spans_of(report: BatchReport, resource: Resource) -> Sequence[ReadableSpan]:
    """Returns the span of a batch, and then those of its steps, which follow each other in it.

    A step that was repeated in the batch is one span, as long as all of its parts. Attributes are names and
    counts: neither values of records nor the text of an error, which may quote them.
    """
    trace_id, began = _IDS.generate_trace_id(), round(report.start_time.timestamp() * 1000) * _NANOSECONDS
    parent = _context(trace_id)
    ended = began + max(report.processing_time_ms * _NANOSECONDS, _nanoseconds(sum(report.steps_ms.values())))
    status = Status(StatusCode.OK) if report.success else Status(StatusCode.ERROR, _FAILED)
    name = f"batch {report.stream}".strip()
    found = [_span(name, parent, None, resource, (began, ended), _attributes(report), status)]
    for step, milliseconds in report.steps_ms.items():
        until = began + _nanoseconds(milliseconds)
        attributes: dict[str, str | int | bool] = {"pulse.step": step}
        found.append(_span(step, _context(trace_id), parent, resource, (began, until), attributes))
        began = until
    return found


def _attributes(report: BatchReport) -> dict[str, str | int | bool]:
    ends = {f"pulse.records.{end}": count for end, count in report.records_by_outcome.items()}
    stream: dict[str, str] = {"pulse.stream": report.stream} if report.stream else {}
    return {
        "pulse.batch_id": report.batch_id,
        **stream,
        "pulse.success": report.success,
        "pulse.records": report.records_processed,
        **ends,
        "pulse.results.written": report.writes.written,
    }


def _span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    resource: Resource,
    times: tuple[int, int],
    attributes: dict[str, str | int | bool],
    status: Status = Status(StatusCode.UNSET),  # noqa: B008 - it never changes
) -> ReadableSpan:
    return ReadableSpan(
        name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=status,
        start_time=times[0],
        end_time=times[1],
        instrumentation_scope=SCOPE,
    )


def _context(trace_id: int) -> SpanContext:
    return SpanContext(trace_id, _IDS.generate_span_id(), is_remote=False, trace_flags=_SAMPLED)


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * _NANOSECONDS)
