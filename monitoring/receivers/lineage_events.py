"""Tells a server of OpenLineage what batches read and wrote: a run, of two events, for some time of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

from contracts import BatchReport
from contracts.lineage import Lineage
from monitoring.receivers.outbox import Parcel, Receiver
from monitoring.receivers.web import TIMEOUT_SECONDS, Asking, below, quiet

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent, RunState
    from openlineage.client.facet_v2 import JobFacet, RunFacet

# An address of nothing: what the events name has to look like one.
PRODUCER = "urn:spark-health-analytics"
ENDPOINT = "api/v1/lineage"
# The facet of our own.
FACET = "pulse_batches"
_CHECKED_EVERY_SECONDS = 1.0


@dataclass
class _Run:
    """Batches of one stream that ended alike, one after another."""

    success: bool
    began: datetime
    ended: datetime
    batches: int = 0
    records: int = 0
    written: int = 0
    deleted: int = 0
    milliseconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, report: BatchReport) -> None:
        self.ended = max(self.ended, report.end_time)
        self.batches += 1
        self.records += report.records_processed
        self.written += report.writes.written
        self.deleted += report.writes.deleted
        self.milliseconds += report.processing_time_ms
        self.outcomes.update(report.records_by_outcome)
        self.refused.update(report.rejected_by_reason)


class LineageEvents(Receiver):
    """Sends the runs of `job`, whose streams read and write what `lineage` says by their name.

    A stream has at most one run in `seconds`, unless its batches begin to fail or to succeed. A run tells of
    counts alone: neither of values of records nor of the text of an error, which may quote them.
    """

    label, title, setting = "openlineage", "The OpenLineage server", "OPENLINEAGE_URL"
    every_seconds = _CHECKED_EVERY_SECONDS

    def __init__(
        self,
        url: str,
        api_key: str,
        namespace: str,
        job: str,
        does: str,
        lineage: Mapping[str, Lineage],
        seconds: float,
    ) -> None:
        # It imports requests, which tries out IPv6.
        from openlineage.client.transport.http import HttpConfig, HttpTransport

        quiet("openlineage")
        self._namespace, self._job, self._does, self._lineage = namespace, job, does, lineage
        self._seconds = seconds
        self._runs: dict[str, _Run] = {}
        self._last: dict[str, tuple[bool, float]] = {}
        given: dict[str, Any] = {"url": below(url, ""), "endpoint": ENDPOINT, "timeout": TIMEOUT_SECONDS}
        given["auth"] = {"type": "api_key", "apiKey": api_key} if api_key else {}
        # The outbox tries again.
        given["retry"] = {"total": 0, "status_forcelist": []}
        self._transport = HttpTransport(HttpConfig.from_dict({**given, "session": Asking(url).session}))

    def parcels(self, report: BatchReport) -> Iterable[Parcel]:
        """Add a batch to the run of its stream; runs that are due."""
        stream, found = report.stream, []
        run = self._runs.get(stream)
        if run and run.success != report.success:
            found.append(self._end(stream))
            run = None
        run = run or _Run(report.success, report.start_time, report.end_time)
        run.add(report)
        self._runs[stream] = run
        if self._is_due(stream):
            found.append(self._end(stream))
        return found

    def rest(self, ending: bool) -> Iterable[Parcel]:
        """The runs that are due, or all when the program is `ending`."""
        return [self._end(stream) for stream in [*self._runs] if ending or self._is_due(stream)]

    def deliver(self, parcel: Parcel) -> None:
        """Send both events of a run; a server takes one again that it has."""
        for event in parcel.content:
            self._transport.emit(event)

    def _is_due(self, stream: str) -> bool:
        success, last = self._last.get(stream, (None, 0.0))
        return self._runs[stream].success is not success or time.monotonic() - last >= self._seconds

    def _end(self, stream: str) -> Parcel:
        from openlineage.client.event_v2 import RunState
        from openlineage.client.uuid import generate_new_uuid

        run = self._runs.pop(stream)
        self._last[stream] = (run.success, time.monotonic())
        run_id = str(generate_new_uuid(run.began))
        end = RunState.COMPLETE if run.success else RunState.FAIL
        events = [self._event(stream, run, run_id, state) for state in (RunState.START, end)]
        return Parcel(run.batches, events)

    def _event(self, stream: str, run: _Run, run_id: str, state: RunState) -> RunEvent:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

        # Only the last event of a run knows its counts, and only what succeeded has any.
        counted = run if state is not RunState.START else None
        moment = run.ended if counted else run.began
        return RunEvent(
            eventType=state,
            eventTime=moment.astimezone(timezone.utc).isoformat(timespec="milliseconds"),
            producer=PRODUCER,
            run=Run(run_id, _run_facets(counted)),
            job=Job(self._namespace, ".".join(filter(None, (self._job, stream))), self._job_facets()),
            inputs=self._inputs(stream, counted),
            outputs=self._outputs(stream, counted),
        )

    def _job_facets(self) -> dict[str, JobFacet]:
        from openlineage.client.facet_v2 import documentation_job, job_type_job

        kind = job_type_job.JobTypeJobFacet("STREAMING", "SPARK", "JOB", producer=PRODUCER)
        does = documentation_job.DocumentationJobFacet(self._does, producer=PRODUCER)
        return {"jobType": kind, "documentation": does}

    def _inputs(self, stream: str, run: _Run | None) -> list[InputDataset]:
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

        datasets = self._of(stream).inputs
        found = [InputDataset(*dataset) for dataset in datasets]
        # Of several it is not known how many records each had.
        if run and len(found) == 1:
            facet = statistics.InputStatisticsInputDatasetFacet(run.records, producer=PRODUCER)
            found[0].inputFacets = {"inputStatistics": facet}
        return found

    def _outputs(self, stream: str, run: _Run | None) -> list[OutputDataset]:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        found = [OutputDataset(*dataset) for dataset in self._of(stream).outputs]
        if run and len(found) == 1:
            facet = statistics.OutputStatisticsOutputDatasetFacet(run.written, producer=PRODUCER)
            found[0].outputFacets = {"outputStatistics": facet}
        return found

    def _of(self, stream: str) -> Lineage:
        return self._lineage.get(stream, Lineage((), ()))


def _run_facets(run: _Run | None) -> dict[str, RunFacet]:
    if run is None:
        return {}
    counts = _batches_facet()(
        batches=run.batches,
        records=run.records,
        recordsByOutcome=dict(run.outcomes),
        refusedByReason=dict(run.refused),
        written=run.written,
        deleted=run.deleted,
        seconds=round(run.milliseconds / 1000, 3),
        producer=PRODUCER,
    )
    return {FACET: counts}


@cache
def _batches_facet() -> Any:
    """Returns the class of the facet of our own, which needs the library's."""
    import attr
    from openlineage.client.facet_v2 import RunFacet

    @attr.define
    class BatchesFacet(RunFacet):
        """How many `batches` a run has, what became of their `records`, how many results were written."""

        batches: int
        records: int
        recordsByOutcome: dict[str, int]  # noqa: N815 - the names of OpenLineage are written like this
        refusedByReason: dict[str, int]  # noqa: N815
        written: int
        deleted: int
        seconds: float

        @staticmethod
        def _get_schema() -> str:
            return f"{PRODUCER}:facets:{FACET}:1"

    return BatchesFacet
