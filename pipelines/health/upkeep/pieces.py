"""Recomputes some users outside of the stream's batches, and reports them like a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bson import ObjectId

from contracts import BatchReport
from pipelines.engine.faults import Faults
from pipelines.engine.steps import Steps
from pipelines.health.recompute.brake import require_few_refused
from pipelines.health.recompute.on_driver import Recompute
from sinks.dead_letters import DeadLetters
from sources.mongo_client import MonotonicClock


@dataclass(frozen=True)
class Pieces:
    """Recomputes a piece of users from their whole histories; what is refused becomes dead letters."""

    recompute: Recompute
    letters: DeadLetters
    clock: MonotonicClock
    next_batch_id: Callable[[], str]
    on_report: Callable[[BatchReport], None]
    # A fault that a test injects is for the stream's batches.
    faults: Faults = field(default_factory=Faults)

    def run(self, users: Sequence[ObjectId], noted: Mapping[str, int] | None = None) -> None:
        """Recompute `users`; the report has what is `noted` of them.

        Raises what the recomputation raises, and ServiceError when results of too many are refused.
        """
        steps = Steps(self.faults)
        batch_id, start = self.next_batch_id(), self.clock.now()
        done = self.recompute.run(users, batch_id, steps.done)
        require_few_refused(done.writes.failed, len(users))
        self.letters.store(done.writes.failed, batch_id, self.clock.now())
        end = max(start, self.clock.now())
        steps.done("dead_letters")
        self.on_report(
            BatchReport(
                batch_id,
                start,
                end,
                analytics_computed=done.computed,
                writes=done.writes,
                users=len(users),
                noted=noted or {},
                errors=[failed.reason for failed in done.writes.failed],
                steps_ms=steps.ms,
                duration_ms=steps.passed_ms(),
            )
        )
