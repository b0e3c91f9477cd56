"""One page of changes while it is worked on, and its report afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from bson import ObjectId

from analytics.health.superseded import Superseded
from analytics.health.validation import Checked
from contracts import BatchReport, Document, Rejected, WriteResult, ends
from contracts.plain_documents import Rows
from pipelines.engine.faults import Faults
from pipelines.engine.steps import Steps
from pipelines.health.recompute.brake import COMPUTATION_FAILED

# A writer that puts an id into `source` must not make the log grow.
_REASONS = 20
# What `settle` asks a document for.
_SETTLED_BY = ("_id", "updatedAt", "userId")


@dataclass
class Piece:
    """A page in work: `counted` and `counted_rows` have those of its `records` that count, until `settle`.

    The others met their end when they were judged.
    """

    batch_id: str
    start: datetime
    computed: int = 0
    users: list[ObjectId] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    counted: list[Document] = field(default_factory=list)
    counted_rows: list[Rows] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=ends)
    left_out: Counter[str] = field(default_factory=Counter)
    of_set_aside: int = 0
    writes: WriteResult = field(default_factory=WriteResult)
    steps: Steps = field(default_factory=lambda: Steps(Faults()))
    newest: datetime | None = None
    late_seconds: tuple[float, ...] = ()
    polled: int = 0
    records: int = 0
    waiting: int | None = None

    def report(self, end: datetime, failure: str | None = None) -> BatchReport:
        """Make the report of the page at `end`; `failure` says why it comes again.

        A page that comes again counts no documents: each counts once.
        """
        report = BatchReport(
            batch_id=self.batch_id,
            start_time=self.start,
            end_time=max(end, self.start),
            analytics_computed=self.computed,
            writes=self.writes,
            users=len(self.users),
            steps_ms=self.steps.ms,
            duration_ms=self.steps.passed_ms(),
        )
        if failure is not None:
            backlog = None if self.waiting is None else self.waiting + self.polled
            return replace(report, errors=[failure], success=False, backlog=backlog)
        refused = Counter(rejected.reason for rejected in self.rejected)
        if self.of_set_aside:
            refused[COMPUTATION_FAILED] += self.of_set_aside
        return replace(
            report,
            records_processed=self.records,
            records_by_outcome=self.ends,
            rejected_by_reason=dict(refused),
            left_out_by_reason=dict(self.left_out),
            errors=self._errors(),
            newest_processed=self.newest,
            lateness_seconds=self.late_seconds,
            backlog=self.waiting,
        )

    def judged(self, document: Document, checked: Checked) -> None:
        """Take the verdict on a polled document, which counts even if some of its values are refused."""
        self.records += 1
        self.rejected += checked.rejections
        if checked.counts:
            # All of a page lies here until it is written.
            self.counted.append({name: document.get(name) for name in _SETTLED_BY})
        elif checked.rejections:
            self.ends["refused"] += 1
        else:
            self._leave_out(checked.left_out, 1)

    def judged_rows(self, rows: Rows, left_out: str) -> None:
        """Take polled documents that count, or all of them do not for the reason `left_out`."""
        self.records += len(rows)
        if not left_out:
            self.counted_rows.append(rows)
        elif len(rows):
            self._leave_out(left_out, len(rows))

    def settle(self, set_aside: set[ObjectId], superseded: Superseded) -> None:
        """Note the ends of documents that count: refused in `set_aside`, else superseded, else written."""
        if not (set_aside or superseded.count):
            self.ends["written"] += sum(map(len, self.counted_rows))
            self.counted_rows = []
        for document in chain(self.counted, *(rows.names() for rows in self.counted_rows)):
            if document["userId"] in set_aside:
                self.of_set_aside += 1
            elif document in superseded:
                self.ends["superseded"] += 1
            else:
                self.ends["written"] += 1
        self.ends["refused"] += self.of_set_aside
        self.counted, self.counted_rows = [], []

    def _leave_out(self, reason: str, documents: int) -> None:
        self.ends["left_out"] += documents
        room = reason in self.left_out or len(self.left_out) < _REASONS
        self.left_out[reason if room else "source:(others)"] += documents

    def _errors(self) -> list[str]:
        reasons = Counter(_label(rejected) for rejected in self.rejected)
        failed = [failed.reason for failed in self.writes.failed]
        return failed + [f"{count} × {reason}" for reason, count in sorted(reasons.items())]


def _label(rejected: Rejected) -> str:
    return f"{rejected.field}: {rejected.reason}" if rejected.field else rejected.reason
