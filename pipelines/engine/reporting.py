"""What every pipeline tells of its batches: log, metrics, dead letters, health endpoints, summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from contracts import BatchReport, DeadLetterError
from monitoring.act_log import ActLog
from monitoring.batch_history import BatchHistory
from monitoring.batch_words import batch_line, stream_line
from monitoring.logs import get_logger
from monitoring.metrics import Metrics
from monitoring.run_state import RunState
from pipelines.engine.due import Due
from pipelines.engine.failure import tell_failure
from pipelines.engine.faults import Faults
from pipelines.engine.letter_desk import LetterDesk
from pipelines.engine.letters_again import told_others
from pipelines.engine.letters_api import AskRetry, LettersApi
from pipelines.engine.pipeline import Pipeline
from pipelines.engine.probes import HealthEndpoints, serving
from pipelines.engine.receivers import open_receivers
from pipelines.engine.steps import Steps
from settings import Settings
from sinks.dead_letters import DeadLetters
from sinks.known_records import KnownRecords
from sinks.stream_letters import RejectedRecord, as_letters
from told import told

logger = get_logger(__name__)

_IDLE_SECONDS = 5.0
# Each letter holds up to 500 records; no more than these are in memory.
_LETTERS_AT_ONCE = 50
# A record of Kafka may have a megabyte and more, and as JSON up to six times that.
_MAX_LETTER_BYTES = 64_000_000


def open_letters(pipeline: Pipeline, settings: Settings) -> DeadLetters:
    """The dead-letter queue of a pipeline, without starting anything else."""
    folder, attempts, owner = settings.dlq_directory, settings.dlq_max_attempts, pipeline.owner(settings)
    if pipeline.letters_are_of_users:
        return DeadLetters(folder, max_attempts=attempts, owner=owner)
    name, listed_by = f"{pipeline.name}_dlq", f"{pipeline.name} dlq list"
    return DeadLetters(folder, name, attempts, _MAX_LETTER_BYTES, owner=owner, listed_by=listed_by)


class StreamReporting:
    """The monitoring of one pipeline; its batches call `begin` and then `report`.

    A failed batch is reported by the supervisor (`failed`), which has what its stream died of.
    """

    def __init__(self, declared: Pipeline, settings: Settings, interval_seconds: float) -> None:
        self._declared = declared
        self.pipeline, self.steps, self._prefixed = declared.name, declared.steps, declared.prefixed
        prefix = declared.name if declared.prefixed else ""
        self.letters = declared.open_letters(settings)
        self._known_records = KnownRecords(self.letters)
        self.history = BatchHistory(settings.log_directory, prefix)
        owner = str(declared.owner(settings))
        self.metrics = Metrics(settings.metrics_directory, prefix, owner=owner)
        self._receivers = open_receivers(declared, settings, self.metrics)
        self.state = RunState(interval_seconds)
        # The command that lists the letters; a demo shows one of its own.
        self.listed_by = told(f"{declared.name} dlq list")
        self._settings = settings
        self._interval_seconds = interval_seconds
        self._began: dict[str, tuple[str, datetime, Steps]] = {}
        self._idle_is_due = Due(_IDLE_SECONDS)
        self._letters_readable = True
        self.metrics.add_probe(self._count_letters)
        if others := told_others(self.letters):
            logger.warning(others)
        # Before the first batch, so that Prometheus sees counters rise from what they were.
        self.metrics.write()

    def _count_letters(self) -> None:
        try:
            self.metrics.dead_letters(*self.letters.waiting())
            self._letters_readable = True
        except DeadLetterError as error:
            self.metrics.dead_letters(None, None)
            if self._letters_readable:
                self._letters_readable = False
                logger.warning(str(error))

    def begin(self, stream: str, batch_id: str, steps: Steps) -> datetime:
        """A batch of `stream` begins, whose time is in `steps`; when that is."""
        now = _now()
        self._began[stream] = (batch_id, now, steps)
        self.state.begin()
        return now

    def report(self, stream: str, report: BatchReport) -> None:
        """Tell a batch that succeeded; raises what `tell` raises."""
        self._began.pop(stream, None)
        self.tell(report)
        self.state.end(True)

    def failed(self, stream: str, error: BaseException) -> None:
        """Tell what a stream died of, in a batch or between two."""
        held = f"{stream} failed; nothing was lost, the batch comes again"
        text = tell_failure(logger, error, held, stream)
        between = (f"{stream}_start", _now(), Steps(Faults()))
        batch_id, began, steps = self._began.pop(stream, between)
        report = BatchReport(batch_id, began, _now(), errors=[text], success=False, steps_ms=steps.ms)
        label = stream if stream in self._declared.parts else ""
        self.tell(replace(report, duration_ms=steps.passed_ms(), stream=label))
        self.state.end(False)

    def first_batch(self, steps: Steps | None = None) -> str | None:
        """What a person waits for before the first batch or idle look has ended; None afterwards.

        `steps` are those of the batch that runs, where it was not told by `begin`.
        """
        if self.state.ended:
            return None
        running = [steps] if steps else [steps for _, _, steps in [*self._began.values()]]
        step = next((one.running for one in running if one.running), None)
        return f"The first batch: {step}" if step else "The first batch is planned"

    def idle(self, _stream: str) -> None:
        """A stream has read its source to the end."""
        if self._idle_is_due():
            self.state.end(True)
            self.metrics.idle(_now())

    def set_aside(self, records: Iterable[RejectedRecord], position: str, batch_id: str) -> int:
        """Store refused records, ordered by source and reason, as dead letters; returns how many there are.

        One that lies in a letter is stored no second time. `position` is its name in the letter. Raises
        DeadLetterError when one cannot be stored.
        """
        count = 0

        def counted() -> Iterator[RejectedRecord]:
            nonlocal count
            for count, record in enumerate(records, 1):  # noqa: B007 - it is returned
                yield record

        letters = as_letters(counted(), position, self._known_records.now())
        while some := list(islice(letters, _LETTERS_AT_ONCE)):
            self.letters.store(some, batch_id, _now())
        return count

    @contextmanager
    def serving(
        self,
        dependencies: Mapping[str, Callable[[], object]],
        events: Callable[[], Mapping[str, Any]] = dict,
        ask_retry: AskRetry | None = None,
    ) -> Iterator[None]:
        """Serve the health endpoints inside the block; for the parameters see them, and LettersApi."""
        self.metrics.streams_every(self._interval_seconds)
        self._receivers.start()
        endpoints = HealthEndpoints(
            pipeline=self.pipeline,
            state=self.state,
            metrics=self.metrics,
            history=self.history,
            letters=self.letters,
            dependencies=dependencies,
            events=events,
            letters_api=self._letters_api(ask_retry),
        )
        with serving(endpoints, self._settings):
            yield

    def _letters_api(self, ask_retry: AskRetry | None) -> LettersApi | None:
        """None without a token in the settings."""
        settings = self._settings
        token = settings.letters_api_token.get_secret_value()
        if not token:
            return None
        acts = ActLog(settings.log_directory, settings.secrets())
        return LettersApi(token, LetterDesk(self._declared, self.letters), acts, ask_retry)

    def finish(self, out: Callable[[str], None], more: str | None = None) -> None:
        """Tell receivers the rest, print the session summary, then `more`, and export the batch history.

        On a terminal it has three lines, unless all is asked for; elsewhere it is the seed's block.
        """
        if self._receivers.close():
            self.metrics.write()
        whole = self._settings.whole_summary or self._settings.log_json or not sys.stdout.isatty()
        out(self.history.summary() if whole else self.history.brief_summary(self.listed_by))
        if more:
            out(more)
        exported = self.history.export()
        if exported:
            out(f"📤 Batch history: {exported}")

    def tell(self, report: BatchReport) -> None:
        """Log and count a batch, and tell receivers of it.

        Raises AssertionError when it lost a record: that is a bug.
        """
        report.require_accounted()
        entry = self.history.record(report)
        self.metrics.observe(report)
        self._receivers.tell(report)
        log = logger.info if report.success else logger.error
        if self._prefixed:
            log(stream_line(report))
        else:
            log(batch_line(report), batch=entry)


def _now() -> datetime:
    return datetime.now(timezone.utc)
