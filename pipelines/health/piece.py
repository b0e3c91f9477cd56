"""One page of changes while it is worked on, and what is told of it afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from bson import ObjectId

from analytics.validation import Checked
from contracts import BatchReport, Rejected, WriteResult


@dataclass
class Piece:
    """What is known so far. `outcomes` has one entry for each document that was polled and validated."""

    batch_id: str
    start: datetime
    computed: int = 0
    users: list[ObjectId] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    writes: WriteResult = field(default_factory=WriteResult)
    steps_ms: dict[str, float] = field(default_factory=dict)
    newest: datetime | None = None
    late_seconds: tuple[float, ...] = ()
    polled: int = 0
    waiting: int | None = None

    def report(self, end: datetime, failure: str | None = None) -> BatchReport:
        """The piece as logs and metrics tell it; `failure` says why it comes again.

        A piece that comes again counts no documents: each counts once.
        """
        report = BatchReport(
            batch_id=self.batch_id,
            start_time=self.start,
            end_time=max(end, self.start),
            analytics_computed=self.computed,
            writes=self.writes,
            users=len(self.users),
            steps_ms=self.steps_ms,
        )
        if failure is not None:
            backlog = None if self.waiting is None else self.waiting + self.polled
            return replace(report, errors=[failure], success=False, backlog=backlog)
        return replace(
            report,
            records_processed=sum(self.outcomes.values()),
            records_by_outcome=dict(self.outcomes),
            rejected_by_reason=dict(Counter(rejected.reason for rejected in self.rejected)),
            errors=self._errors(),
            newest_processed=self.newest,
            lateness_seconds=self.late_seconds,
            backlog=self.waiting,
        )

    def _errors(self) -> list[str]:
        reasons = Counter(_label(rejected) for rejected in self.rejected)
        failed = [failed.reason for failed in self.writes.failed]
        return failed + [f"{count} × {reason}" for reason, count in sorted(reasons.items())]


def outcome_of(checked: Checked) -> str:
    """What became of a document: `used`, `not_from_phone`, or the reason for which it was refused whole.

    One of whose values some were refused is used.
    """
    if checked.counts:
        return "used"
    return checked.rejections[0].reason if checked.rejections else "not_from_phone"


def _label(rejected: Rejected) -> str:
    return f"{rejected.field}: {rejected.reason}" if rejected.field else rejected.reason
