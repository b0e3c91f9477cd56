"""Metrics for Prometheus: one text file, replaced whole, for node_exporter's textfile collector."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.core import Metric

from contracts import ENDS, BatchReport, end_of
from monitoring.logs import warn_stderr
from monitoring.metric_registry import CorruptMetricsError, MetricRegistry, clear
from monitoring.metrics_file import MetricsFile

# Idle polls may come many times a second, and probes and file cost more than the rest of such a poll.
IDLE_SECONDS = 5.0

_BATCH_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_STEP_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """What every pipeline measures, in `METRICS_DIRECTORY`: batches, records, errors, dead letters, retries.

    The health pipeline (no `prefix`) writes `spark_analytics_metrics.prom` with the seed's 11 names and the
    others under `health_`. Any other pipeline writes `<prefix>_metrics.prom`, puts its name before every
    metric (node_exporter refuses two files with the same series) and counts `records_written_total` where
    health has `analytics_written_total`. `registry` makes the metrics that only one pipeline has.

    Counters and histograms go on from the earlier file. A file or folder that cannot be used costs one
    warning on standard error; nothing here ever raises because of it.
    """

    def __init__(self, directory: str | Path, prefix: str = "", owner: str = "") -> None:
        """Go on from the file in `directory`, which belongs to `owner`; see MetricsFile."""
        name = prefix.rstrip("_")
        seed = f"{name}_" if name else ""
        self.path = Path(directory) / (f"{name}_metrics.prom" if name else "spark_analytics_metrics.prom")
        self._file = MetricsFile(self.path, owner)
        self.registry = MetricRegistry(f"{name or 'health'}_")
        self._lock = threading.RLock()
        self._warned = False
        self._probes: list[Callable[[], None]] = []
        self._idle_written = -math.inf
        self._make_seed(seed, "records" if name else "analytics")
        self._make_own("records" if name else "analytics")
        self._restore(f"{seed}batches_processed_total")

    def _make_seed(self, prefix: str, results: str) -> None:
        """Make the seed's 11 metrics in its order; `results` is its word for the documents of a batch."""

        def counter(name: str, text: str) -> Counter:
            return self.registry.counter(name, f"Total number of {text}", prefix=prefix)

        self._processed = counter("batches_processed_total", "batches processed")
        self._succeeded = counter("batches_succeeded_total", "successful batches")
        self._failed = counter("batches_failed_total", "failed batches")
        self._written = counter(f"{results}_written_total", f"{results} written: inserted or updated")
        self._inserted = counter(f"{results}_inserted_total", f"new {results} inserted")
        self._updated = counter(f"{results}_updated_total", f"{results} updated")
        self._skipped = counter(f"{results}_skipped_total", f"{results} skipped because the stored one stays")
        self._records = counter("records_processed_total", "source records processed, rejected ones included")
        self._errors = counter("errors_total", "records and values refused, writes and batches failed")
        gauge = self.registry.gauge
        self._seconds = gauge(
            "processing_time_seconds", "Total processing time in seconds", prefix=prefix, kept=True
        )
        self._seconds.set(0)
        text = "Average processing time per batch in milliseconds"
        self._average = gauge("average_processing_time_ms", text, prefix=prefix, kept=True)
        self._average.set(0)

    def _make_own(self, results: str) -> None:
        counter, gauge = self.registry.counter, self.registry.gauge
        histogram = self.registry.histogram
        self._deleted = counter(f"{results}_deleted_total", f"Total number of obsolete {results} deleted")
        text = "Source records, or fields of them, refused by reason"
        self._rejected = counter("rejected_total", text, ["reason"])
        text = "Source records processed by what became of them; each has exactly one of these ends"
        self._outcomes = counter("records_by_outcome_total", text, ["outcome"], earlier=end_of)
        for end in ENDS:
            self._outcomes.labels(end)
        self._left_out = counter("left_out_total", "Source records left out by reason", ["reason"])
        text = "What a person should know of records that were written"
        self._noted = counter("noted_total", text, ["what"])
        text = "Waits of the retry policy by the type of the error before them"
        self._retries = counter("retries_total", text, ["reason"])
        text = "Wall time of a batch in seconds"
        self._duration = histogram("batch_duration_seconds", text, _BATCH_SECONDS)
        text = "Wall time of one step of a batch in seconds"
        self._step = histogram("batch_step_duration_seconds", text, _STEP_SECONDS, ["step"])
        self._interval = gauge("batch_interval_seconds", "Seconds between two triggers of the running stream")
        text = "When the source was last read to its end, seconds since 1970"
        self._last_poll = gauge("last_poll_timestamp_seconds", text, kept=True)
        text = "When a batch last succeeded, seconds since 1970"
        self._last_success = gauge("last_success_timestamp_seconds", text, kept=True)
        self._letters = gauge("dlq_letters", "Dead letters that wait in the queue")
        text = "When the oldest dead letter was stored, seconds since 1970; absent without any"
        self._oldest_letter = gauge("dlq_oldest_letter_timestamp_seconds", text)

    def observe(self, report: BatchReport) -> None:
        """Count one batch and write the file."""
        with self._lock:
            self._count(report)
            if report.success:
                end = report.end_time.timestamp()
                self._last_success.set(end)
                self._last_poll.set(end)
            self.write()

    def _count(self, report: BatchReport) -> None:
        writes, seconds = report.writes, report.processing_time_ms / 1000
        for counter, amount in (
            (self._processed, 1),
            (self._succeeded, int(report.success)),
            (self._failed, int(not report.success)),
            (self._written, writes.written),
            (self._inserted, writes.inserted),
            (self._updated, writes.updated),
            (self._skipped, writes.skipped),
            (self._deleted, writes.deleted),
            (self._records, report.records_processed),
            (self._errors, report.errors_count),
        ):
            counter.inc(amount)
        self._seconds.inc(seconds)
        batches, total = self.registry.value(self._processed), self.registry.value(self._seconds)
        self._average.set(round(total * 1000 / batches, 2))
        self._duration.observe(seconds)
        for step, duration_ms in report.steps_ms.items():
            self._step.labels(step).observe(duration_ms / 1000)
        for reason, count in report.rejected_by_reason.items():
            self.registry.count(self._rejected, reason, count)
        for reason, count in report.left_out_by_reason.items():
            self.registry.count(self._left_out, reason, count)
        for what, count in report.noted.items():
            self.registry.count(self._noted, what, count)
        for end, count in report.records_by_outcome.items():
            self._outcomes.labels(end).inc(count)

    def idle(self, now: datetime) -> None:
        """Note that the source was read up to the server's `now` and holds nothing more.

        The file is written if the last idle poll that did so is `IDLE_SECONDS` old.
        """
        with self._lock:
            self._last_poll.set(now.timestamp())
            seconds = time.monotonic()
            if seconds - self._idle_written >= IDLE_SECONDS:
                self._idle_written = seconds
                # Nothing was counted, so nothing can be lost: an idle poll does not wait for the disk.
                self.write(durable=False)

    def streams_every(self, seconds: float) -> None:
        """Note that this process is a stream with an interval of `seconds`; else it is a one-shot run."""
        self._interval.set(seconds)

    def dead_letters(self, waiting: int | None, oldest: datetime | None) -> None:
        """Set how many letters wait, and since when the oldest; written with the next batch or poll.

        None where it is not known.
        """
        self._letters.set(math.nan if waiting is None else waiting)
        if oldest is None:
            clear(self._oldest_letter)
        else:
            self._oldest_letter.set(oldest.timestamp())

    def retried(self, error: BaseException) -> None:
        """Count one wait of the retry policy (its `on_retry`); written with the next batch or poll."""
        self.registry.count(self._retries, type(error).__name__)

    def add_probe(self, probe: Callable[[], None]) -> None:
        """Call `probe`, which sets gauges, before each write. Drop one that fails, with a warning."""
        self._probes.append(probe)

    def render(self) -> bytes:
        """The metrics in the Prometheus text format, as the file and an HTTP endpoint give them."""
        with self._lock:
            return self.registry.render()

    def families(self) -> list[Metric]:
        """The metrics as `render` shows them, for who sends them in another format."""
        with self._lock:
            return list(self.registry.collect())

    def write(self, durable: bool = True) -> None:
        """Replace the file; readers see the old one or the new one, never a part.

        `durable` waits until the new one would survive a power cut.
        """
        with self._lock:
            self._probes = [probe for probe in self._probes if _succeeds(probe)]
            try:
                self._file.write(self.render(), durable)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    warn_stderr(
                        f"The metrics file cannot be written: {error}. Batches go on without it; make "
                        f"{self.path.parent} writable or change METRICS_DIRECTORY."
                    )

    def _restore(self, required: str) -> None:
        try:
            earlier = self._file.read()
            if earlier is not None:
                self.registry.restore(earlier, required)
        except (OSError, UnicodeDecodeError, CorruptMetricsError) as error:
            # A decoding error would print the bytes; its reason is enough.
            cause = error.reason if isinstance(error, UnicodeDecodeError) else error
            warn_stderr(f"The earlier metrics file {self.path} cannot be read, counters start at 0: {cause}.")


def _succeeds(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception as error:  # noqa: BLE001 - measuring must not stop the work
        warn_stderr(f"A measurement failed and is left out from now on: {type(error).__name__}.")
        return False
    return True
