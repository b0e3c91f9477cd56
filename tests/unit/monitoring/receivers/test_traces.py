"""What a receiver of OTLP gets: a span a batch with its steps, and the metrics as Prometheus sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contracts import BatchReport, WriteResult, ends
from monitoring.metrics import Metrics
from monitoring.receivers import traces as module
from monitoring.receivers.outbox import AwayError, RefusedError
from monitoring.receivers.traces import Traces
from tests.support.clock import Clock
from tests.support.receiver import FakeReceiver, receiving

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
REPORT = BatchReport(
    "17",
    START,
    START + timedelta(seconds=1),
    records_processed=5,
    records_by_outcome=ends(4, refused=1),
    rejected_by_reason={"odd": 1},
    writes=WriteResult(inserted=4),
    steps_ms={"read": 100.5, "judge": 0.0, "write": 899.5},
    duration_ms=1_000,
    errors=["1 × odd"],
    stream="matches",
)


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """A receiver that finds nothing wrong."""
    with receiving() as made:
        yield made


def _traces(url: str, metrics: Metrics, **headers: str) -> Traces:
    return Traces(url, headers, "esports", metrics.families, 60.0)


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def test_a_batch_is_a_span_with_its_steps_one_after_another(receiver: FakeReceiver, tmp_path: Path) -> None:
    """They fill it from its beginning to its end; the headers come along."""
    traces = _traces(receiver.address, Metrics(tmp_path, "esports"), **{"x-api-key": "k3y-of-otlp"})
    for parcel in traces.parcels(REPORT):
        traces.deliver(parcel)
    batch, *steps = receiver.spans
    began = int(START.timestamp()) * 10**9
    assert (batch.name, batch.parent_span_id) == ("batch matches", b"")
    assert (batch.start_time_unix_nano, batch.end_time_unix_nano) == (began, began + 10**9)
    assert [step.name for step in steps] == list(REPORT.steps_ms)
    assert {step.parent_span_id for step in steps} == {batch.span_id}
    assert {step.trace_id for step in steps} == {batch.trace_id}
    assert len({one.span_id for one in receiver.spans}) == 4
    edges = [began, began + 100_500_000, began + 100_500_000, began + 10**9]
    assert [step.start_time_unix_nano for step in steps] == edges[:-1]
    assert [step.end_time_unix_nano for step in steps] == edges[1:]
    assert _values(batch.attributes) == {
        "pulse.batch_id": "17",
        "pulse.stream": "matches",
        "pulse.success": True,
        "pulse.records": 5,
        **{f"pulse.records.{end}": count for end, count in ends(4, refused=1).items()},
        "pulse.results.written": 4,
    }
    assert _values(receiver.resources[0].attributes)["service.name"] == "pulse-esports"
    assert {one["x-api-key"] for one in receiver.headers} == {"k3y-of-otlp"}


def test_a_failed_batch_is_an_error_without_its_text(receiver: FakeReceiver, tmp_path: Path) -> None:
    """Which may quote a record."""
    traces = _traces(receiver.address, Metrics(tmp_path, "esports"))
    failed = replace(REPORT, success=False, errors=["ValueError: 'of a person'"])
    for parcel in traces.parcels(failed):
        traces.deliver(parcel)
    assert receiver.spans[0].status.code == 2
    assert not any(b"of a person" in body for body in receiver.bodies)


def test_the_metrics_are_those_that_prometheus_sees(receiver: FakeReceiver, tmp_path: Path) -> None:
    """Each sample, under its name, with its labels; buckets count for themselves."""
    metrics = Metrics(tmp_path, "esports")
    for milliseconds in (80, 400, 400, 700_000):
        metrics.observe(replace(REPORT, duration_ms=milliseconds))
    traces = _traces(receiver.address, metrics)
    for parcel in traces.rest(True):
        traces.deliver(parcel)
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for metric in receiver.metrics[0].resource_metrics[0].scope_metrics[0].metrics:
        for name, labels, value in _samples(metric):
            found[name, frozenset(labels.items())] = value
    text = metrics.render().decode()
    expected = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found == expected
    assert len(found) > 40


def _samples(metric: Any) -> Iterator[tuple[str, dict[str, str], float]]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        labels = _values(point.attributes)
        if kind != "histogram":
            assert kind == "gauge" or (metric.sum.is_monotonic and metric.sum.aggregation_temporality == 2)
            yield metric.name, labels, point.as_double
            continue
        below = 0
        for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
            below += count
            shown = "+Inf" if bound == float("inf") else str(bound)
            yield f"{metric.name}_bucket", {**labels, "le": shown}, below
        yield f"{metric.name}_count", labels, point.count
        yield f"{metric.name}_sum", labels, point.sum


def test_metrics_come_in_their_time_and_each_batch_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch a second is no reason to send all metrics each second."""
    traces = _traces("http://127.0.0.1:1", Metrics(tmp_path, "esports"))
    clock = Clock(monkeypatch, module)

    def told() -> list[int]:
        clock.seconds += 20
        return [parcel.batches for parcel in traces.parcels(REPORT)]

    assert [told() for _ in range(5)] == [[1, 0], [1], [1], [1, 0], [1]]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RefusedError), (404, RefusedError), (302, RefusedError), (429, AwayError), (503, AwayError)],
    ids=str,
)
def test_what_a_receiver_answers_instead_says_whether_to_try_again(
    receiver: FakeReceiver, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    """Once: the outbox tries again. Spans and metrics alike."""
    receiver.broken = status
    traces = _traces(receiver.address, Metrics(tmp_path, "esports"))
    parcels = list(traces.parcels(REPORT))
    for parcel in parcels:
        with pytest.raises(error):
            traces.deliver(parcel)
    assert len(receiver.bodies) == len(parcels) == 2


def test_a_receiver_that_is_away_is_asked_once(tmp_path: Path) -> None:
    """Its library would go on for seconds, and a stop would wait for it."""
    with receiving() as gone:
        address = gone.address
    traces = _traces(address, Metrics(tmp_path, "esports"))
    (parcel, _) = traces.parcels(REPORT)
    with pytest.raises(AwayError, match="ConnectionError"):
        traces.deliver(parcel)
