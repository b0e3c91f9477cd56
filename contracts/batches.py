"""What the parts of every pipeline hand each other: documents, writes, and the report of a batch.

Every datetime is timezone-aware UTC with millisecond precision unless a docstring says otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

Document = Mapping[str, Any]


class Clock(Protocol):
    """The clock whose time counts: the database server's where it can be asked."""

    def now(self) -> datetime:
        """The current time, UTC, truncated to milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Spark's name for a micro-batch: numbers begin again with a new query."""

    query_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.query_id}-{self.number:06d}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One reason why a polled document, or one field of it, does not count.

    `field` is a dotted path such as `metrics.steps`, or None when the whole document is refused. Letters
    of one `group` are looked up together.
    """

    document: Document
    reason: str
    field: str | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class FailedWrite:
    """A document that the sink refused for a reason of its own (never a transient one)."""

    document: Document
    reason: str


EXAMPLES_EACH = 3


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of one write, counted from the server's answers.

    `examples` holds a few documents by their result (`insert`, `update`, `skip`), for debugging.
    """

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    deleted: int = 0
    failed: tuple[FailedWrite, ...] = ()
    examples: Mapping[str, tuple[Document, ...]] = field(default_factory=dict, compare=False)

    @property
    def written(self) -> int:
        """The number of documents that are now as this batch computed them."""
        return self.inserted + self.updated

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.skipped + other.skipped,
            self.deleted + other.deleted,
            self.failed + other.failed,
            {
                kind: (self.examples.get(kind, ()) + other.examples.get(kind, ()))[:EXAMPLES_EACH]
                for kind in self.examples.keys() | other.examples.keys()
            },
        )


# The reason of records that could not be read at all; every other reason is a rule they broke.
CORRUPT = "corrupt"


# The ends of a record; in every pipeline each record that came in has exactly one of them.
ENDS = ("written", "duplicate", "superseded", "refused", "left_out")


def ends(
    written: int = 0, duplicate: int = 0, superseded: int = 0, refused: int = 0, left_out: int = 0
) -> dict[str, int]:
    """Returns the number of records by end, for each of ENDS.

    Written records count in what is stored; duplicates were stored before; superseded ones are older than
    what is known; refused ones broke a rule and are dead letters; left out are those for which there is no
    fault to mend.
    """
    return dict(zip(ENDS, (written, duplicate, superseded, refused, left_out), strict=True))


# At most this many things are noted by name in one batch.
_MOST_NOTED = 20


def most(noted: Counter[str]) -> dict[str, int]:
    """The most frequent of `noted`, for a BatchReport; the rest is counted together."""
    found = dict(noted.most_common(_MOST_NOTED))
    rest = noted.total() - sum(found.values())
    return {**found, "others": rest} if rest else found


def end_of(outcome: str) -> str:
    """Returns today's word for an end in the words of an earlier version of this service.

    That named the reason where a record was refused, so any unknown word is one.
    """
    if outcome in ENDS:
        return outcome
    return {"used": "written", "not_from_phone": "left_out"}.get(outcome, "refused")


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The report of a batch, for logs and metrics. Durations are milliseconds, `steps_ms` by step name.

    `records_by_outcome` has exactly the keys of ENDS and adds up to `records_processed`. `rejected_by_reason`
    is the detail of the refused ones, and in the health pipeline also of single fields of written ones;
    `left_out_by_reason` is that of those left out; `noted` counts oddities of written ones by name.
    `lateness_seconds` has one number for each record that the source showed after it had been read past;
    `backlog` is the number of changed records that still wait, None when it is not known. `stream` names the
    stream of the batch when the pipeline has several. `duration_ms` is by a clock that is never set; the
    steps add up to it.
    """

    batch_id: str
    start_time: datetime
    end_time: datetime
    records_processed: int = 0
    analytics_computed: int = 0
    writes: WriteResult = field(default_factory=WriteResult)
    users: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    left_out_by_reason: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    records_by_outcome: Mapping[str, int] = field(default_factory=ends)
    errors: Sequence[str] = ()
    success: bool = True
    steps_ms: Mapping[str, float] = field(default_factory=dict)
    newest_processed: datetime | None = None
    lateness_seconds: Sequence[float] = ()
    backlog: int | None = None
    stream: str = ""
    duration_ms: float | None = None

    @property
    def processing_time_ms(self) -> int:
        """The time that the batch took, whatever its clocks said meanwhile."""
        between = (self.end_time - self.start_time).total_seconds() * 1000
        return round(between if self.duration_ms is None else self.duration_ms)

    @property
    def refused(self) -> int:
        """The number of records, or single values of them, that broke a rule."""
        return sum(self.rejected_by_reason.values())

    @property
    def failures(self) -> int:
        """The number of results that could not be written, and the batch itself if that failed."""
        return len(self.writes.failed) + (not self.success)

    @property
    def errors_count(self) -> int:
        """The number of things that were refused or failed; `errors` tells them by kind."""
        return self.refused + self.failures

    @property
    def unaccounted(self) -> int:
        """The number of records without an end; 0 unless the pipeline has a bug."""
        return self.records_processed - sum(self.records_by_outcome.values())

    def require_accounted(self) -> None:
        """Raise AssertionError when a record has no end, or more than one: that is a bug."""
        if self.unaccounted:
            raise AssertionError(f"{self.unaccounted} records of batch {self.batch_id} are unaccounted for")

    @property
    def status(self) -> str:
        """`completed`, `completed_with_errors` (a success) or `failed`."""
        if not self.success:
            return "failed"
        return "completed_with_errors" if self.errors else "completed"
