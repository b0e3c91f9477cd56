"""What a server of OpenLineage gets: valid events whose counts are those of the batches, and no values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.event_v2 import RunEvent, RunState

from contracts import BatchReport, WriteResult, ends
from contracts.lineage import Lineage, collection, folder, topic
from monitoring.receivers import lineage_events
from monitoring.receivers.lineage_events import FACET, LineageEvents
from monitoring.receivers.outbox import AwayError, RefusedError
from tests.support.clock import Clock
from tests.support.receiver import FakeReceiver, receiving

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
KEY = "a-key-of-lineage"
SOURCE, SINK = topic("kafka-1:9092,kafka-2:9092", "sales"), collection("db:27017", "shop", "sales")


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """A server that finds nothing wrong."""
    with receiving() as made:
        yield made


def _events(url: str, seconds: float = 0.0, **more: Any) -> LineageEvents:
    lineage = {"": Lineage((SOURCE,), (SINK,)), "two": Lineage((SOURCE, SOURCE), (SINK, SINK))}
    given_all = {"api_key": "", "namespace": "pulse", "job": "stock", "does": "Kafka → MongoDB", **more}
    return LineageEvents(url, lineage=lineage, seconds=seconds, **given_all)


def _report(
    number: int = 1, written: int = 4, refused: int = 1, success: bool = True, **more: Any
) -> BatchReport:
    began = START + timedelta(seconds=10 * number)
    report = BatchReport(str(number), began, began + timedelta(seconds=2), duration_ms=2_000, success=success)
    if success:
        report = replace(
            report,
            records_processed=written + refused,
            records_by_outcome=ends(written, refused=refused),
            rejected_by_reason={"odd": refused} if refused else {},
            writes=WriteResult(inserted=written),
        )
    return replace(report, **more)


def _tell(events: LineageEvents, reports: Sequence[BatchReport], ending: bool = True) -> None:
    for report in reports:
        for parcel in events.parcels(report):
            events.deliver(parcel)
    for parcel in events.rest(ending):
        events.deliver(parcel)


def _only(datasets: Any) -> Any:
    (dataset,) = datasets
    return dataset


def _counts(event: RunEvent) -> dict[str, Any]:
    facets: Any = event.run.facets
    return dict(facets[FACET])


def test_a_batch_is_a_run_with_its_datasets_and_counts(receiver: FakeReceiver) -> None:
    """Two events with one id: when it began, and with the counts when it ended."""
    _tell(_events(receiver.address, api_key=KEY), [_report()])
    first, last = receiver.events
    assert (first.eventType, last.eventType) == (RunState.START, RunState.COMPLETE)
    assert first.run.runId == last.run.runId
    assert UUID(first.run.runId).version == 7
    assert (first.eventTime, last.eventTime) == (
        "2026-01-01T00:00:10.000+00:00",
        "2026-01-01T00:00:12.000+00:00",
    )
    for event in (first, last):
        assert (event.job.namespace, event.job.name) == ("pulse", "stock")
        assert [(one.namespace, one.name) for one in event.inputs or ()] == [
            ("kafka://kafka-1:9092", "sales")
        ]
        assert [(one.namespace, one.name) for one in event.outputs or ()] == [
            ("mongodb://db:27017", "shop.sales")
        ]
    assert not first.run.facets
    source, sink = _only(last.inputs), _only(last.outputs)
    assert source.inputFacets["inputStatistics"].rowCount == 5
    assert sink.outputFacets["outputStatistics"].rowCount == 4
    assert _counts(last) == {
        "batches": 1,
        "records": 5,
        "recordsByOutcome": ends(4, refused=1),
        "refusedByReason": {"odd": 1},
        "written": 4,
        "deleted": 0,
        "seconds": 2.0,
    }
    assert {headers["authorization"] for headers in receiver.headers} == {f"Bearer {KEY}"}


def test_of_several_datasets_nobody_knows_how_many_records_each_had(receiver: FakeReceiver) -> None:
    """The run has all of them; a stream is a job of its own."""
    _tell(_events(receiver.address), [_report(stream="two")])
    last = receiver.events[-1]
    assert last.job.name == "stock.two"
    assert not any(one.inputFacets for one in last.inputs or ())
    assert _counts(last)["records"] == 5


def test_a_failed_batch_is_a_failed_run_without_the_text_of_its_error(receiver: FakeReceiver) -> None:
    """Which may quote a record."""
    _tell(_events(receiver.address), [_report(success=False, errors=["ValueError: 'of a person'"])])
    assert [event.eventType for event in receiver.events] == [RunState.START, RunState.FAIL]
    assert not any(b"of a person" in body for body in receiver.bodies)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.floats(0, 40)), max_size=20)
)
def test_runs_have_all_batches_however_many_are_one(batches: list[tuple[int, int, bool, float]]) -> None:
    """Their counts add up to those of the batches, and a run has none that ended otherwise."""
    told: list[RunEvent] = []
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock(patched, lineage_events)
        events = _events("http://127.0.0.1:1", 30.0)
        for number, (written, refused, success, seconds) in enumerate(batches):
            clock.seconds += seconds
            found = [*events.parcels(_report(number, written, refused, success)), *events.rest(False)]
            told += [parcel.content[1] for parcel in found]
        told += [parcel.content[1] for parcel in events.rest(True)]
    runs: list[Any] = [(event.run.facets or {})[FACET] for event in told]
    taken = [(written, refused) for written, refused, success, _ in batches if success]
    assert sum(run.batches for run in runs) == len(batches)
    assert sum(run.written for run in runs) == sum(written for written, _ in taken)
    assert sum(run.records for run in runs) == sum(map(sum, taken))
    pairs = zip(told, runs, strict=True)
    failed = sum(run.batches for event, run in pairs if event.eventType is RunState.FAIL)
    assert failed == len(batches) - len(taken)


def test_a_stream_has_one_run_in_a_time_and_a_change_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in a minute, unless batches begin to fail or to succeed."""
    clock = Clock(monkeypatch, lineage_events)
    events = _events("http://127.0.0.1:1", 60.0)

    def told(number: int, success: bool = True) -> list[int]:
        clock.seconds += 10
        return [parcel.batches for parcel in events.parcels(_report(number, success=success))]

    assert [told(number) for number in range(1, 8)] == [[1], [], [], [], [], [], [6]]
    assert told(8) == []
    assert told(9, False) == [1, 1]
    assert told(10, False) == []
    assert told(11) == [1, 1]
    assert [list(events.rest(False)), told(12)] == [[], []]
    clock.seconds += 60
    assert [parcel.batches for parcel in events.rest(False)] == [1]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RefusedError), (401, RefusedError), (302, RefusedError), (429, AwayError), (503, AwayError)],
    ids=str,
)
def test_what_a_server_answers_instead_says_whether_to_try_again(
    receiver: FakeReceiver, status: int, error: type[Exception]
) -> None:
    """Once: the outbox tries again. A redirect is not followed with the key."""
    receiver.broken = status
    events = _events(receiver.address, api_key=KEY)
    (parcel,) = events.parcels(_report())
    with pytest.raises(error):
        events.deliver(parcel)
    assert len(receiver.bodies) == 1


def test_a_user_in_the_address_is_asked_as_and_is_in_no_event(receiver: FakeReceiver) -> None:
    """Below a path, too."""
    receiver.broken = 500
    events = _events(receiver.address.replace("://", "://app:hunter2@") + "/below/")
    (parcel,) = events.parcels(_report())
    with pytest.raises(AwayError) as caught:
        events.deliver(parcel)
    assert receiver.headers[0]["authorization"].startswith("Basic ")
    assert not any(b"hunter2" in body for body in receiver.bodies)
    assert "hunter2" not in str(caught.value)


def test_a_folder_has_its_whole_path() -> None:
    """The server knows not where the process runs."""
    assert folder(Path("data")) == ("file", f"{Path.cwd().as_posix()}/data")
