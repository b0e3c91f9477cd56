"""What receivers of lineage and traces are told of each system is what its batch log says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from openlineage.client.event_v2 import RunState

from contracts import ENDS
from monitoring.receivers.lineage_events import FACET
from pipelines.engine.faults import Faults
from tests.contract.systems import System
from tests.support.receiver import FakeReceiver, receiving
from tests.support.waiting import wait_for

KEY = "a-secret-of-receivers"


@pytest.fixture
def receiver(system: System) -> Iterator[FakeReceiver]:
    """One that the system tells of each batch."""
    with receiving() as made:
        system.options |= {"openlineage_url": made.address, "openlineage_seconds": 0}
        system.options |= {"openlineage_api_key": KEY, "otlp_endpoint": made.address}
        system.options |= {"otlp_headers": f"x-api-key={KEY}"}
        yield made


def test_events_and_spans_have_the_counts_of_the_batch_log(
    system: System, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good and refused records, and a batch that fails once; no value of a record and no secret leaves."""
    reach, failed = Faults.reach, list[str]()

    def die_once(faults: Faults, step: str) -> None:
        reach(faults, step)
        if step == "dead_letters" and not failed:
            failed.append(step)
            raise RuntimeError("as a server would")

    system.send(range(20), [1000, 1001])
    assert system.run()
    system.send(range(20, 30), [1004])
    monkeypatch.setattr(Faults, "reach", die_once)
    assert system.run()
    log = system.log()
    wait_for(lambda: len(receiver.ended()) == len(_batches(receiver)) == len(log) == 3, "all batches")
    _assert_same(log, receiver)
    assert system.metrics()["receiver_batches_total{outcome=sent,receiver=openlineage}"] >= 1
    sent = b"".join(receiver.bodies)
    for secret in (KEY, "as a server would"):
        assert secret.encode() not in sent


def _batches(receiver: FakeReceiver) -> list[Any]:
    return [span for span in receiver.spans if not span.parent_span_id]


def _assert_same(log: list[dict[str, Any]], receiver: FakeReceiver) -> None:
    written = "records_written" if "records_written" in log[0] else "analytics_written"
    facets: list[Any] = [(event.run.facets or {})[FACET] for event in receiver.ended()]
    # Each process has a thread of its own that tells: a later one may come first.
    assert _sorted(
        (event.eventType is RunState.COMPLETE, facet["records"], facet["written"], facet["recordsByOutcome"])
        for event, facet in zip(receiver.ended(), facets, strict=True)
    ) == _sorted(
        (one["success"], one["records_processed"], one[written], one["records_by_outcome"]) for one in log
    )
    assert sum((Counter(facet["refusedByReason"]) for facet in facets), Counter()) == sum(
        (Counter(one["rejected_by_reason"]) for one in log), Counter()
    )
    assert all(event.inputs and event.outputs for event in receiver.events)
    assert len({event.job.name for event in receiver.events}) == 1
    steps = [
        {span.name for span in receiver.spans if span.parent_span_id == batch.span_id}
        for batch in _batches(receiver)
    ]
    assert _sorted(sorted(names) for names in steps) == _sorted(sorted(one["steps_ms"]) for one in log)
    counted = [
        {one.key: one.value.int_value for one in batch.attributes if one.key.startswith("pulse.records.")}
        for batch in _batches(receiver)
    ]
    assert _sorted(counted) == _sorted(
        {f"pulse.records.{end}": one["records_by_outcome"][end] for end in ENDS} for one in log
    )


def _sorted(found: Any) -> list[Any]:
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


def test_a_receiver_that_is_away_holds_nothing_up(system: System, receiver: FakeReceiver) -> None:
    """It takes what it is asked and never answers: the batches are done, and told to the log."""
    receiver.answers.clear()
    for numbers in (range(5), range(5, 10)):
        system.send(numbers, [])
        assert system.run()
    assert len(system.log()) == 2
    assert not receiver.bodies
