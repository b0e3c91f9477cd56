"""Metrics for Prometheus: one text file, replaced whole, for node_exporter's textfile collector."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from contracts import BatchReport
from monitoring.logs import warn_stderr
from monitoring.metrics_state import GAUGES, CorruptMetricsError, MetricsState

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


class Metrics(Collector):
    """The 11 metrics of the seed and this service's own, in `METRICS_DIRECTORY`.

    The health pipeline (no `prefix`) writes `spark_analytics_metrics.prom` with the seed's names and its own
    under `health_`. Any other pipeline writes `<prefix>_metrics.prom` and puts its name before every metric,
    because node_exporter refuses two files with the same series.

    Counters go on from the earlier file. A file or folder that cannot be used costs one warning on standard
    error; nothing here ever raises because of it.
    """

    def __init__(self, directory: str | Path, prefix: str = "") -> None:
        name = prefix.rstrip("_")
        self.path = Path(directory) / (f"{name}_metrics.prom" if name else "spark_analytics_metrics.prom")
        self._state = MetricsState(base=f"{name}_" if name else "", extra=f"{name or 'health'}_")
        self._lock = threading.RLock()
        self._warned = False
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._restore()

    def observe(self, report: BatchReport) -> None:
        """Count one batch and write the file."""
        with self._lock:
            self._state.add(report)
            if report.success:
                end = report.end_time.timestamp()
                self._state.gauges["last_success_timestamp_seconds"] = end
                self._state.gauges["last_poll_timestamp_seconds"] = end
                self._note_newest(report.newest_processed)
            self._note_lag(report.end_time)
            self.write()

    def idle(self, now: datetime) -> None:
        """The source was polled up to the server's `now` and holds nothing more; writes the file."""
        with self._lock:
            self._state.gauges["last_poll_timestamp_seconds"] = now.timestamp()
            self._note_lag(now)
            # Nothing was counted, so nothing can be lost: an idle poll does not wait for the disk.
            self.write(durable=False)

    def set_gauge(self, name: str, value: float) -> None:
        """Set one of metrics_state.GAUGES by its name without prefix, e.g. `dlq_letters`.

        It is written with the next observe, idle or write. Raises KeyError for a name that is not there.
        """
        if name not in GAUGES:
            raise KeyError(name)
        with self._lock:
            self._state.gauges[name] = float(value)

    def collect(self) -> Iterator[Metric]:
        """The present values, for prometheus_client."""
        with self._lock:
            return iter(list(self._state.families()))

    def render(self) -> bytes:
        """The metrics in the Prometheus text format, as the file and an HTTP endpoint give them."""
        return generate_latest(self._registry)

    def write(self, durable: bool = True) -> None:
        """Replace the file; readers see the old one or the new one, never a part.

        `durable` waits until the new one would survive a power cut.
        """
        with self._lock:
            try:
                _replace(self.path, self.render(), durable)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    warn_stderr(
                        f"The metrics file cannot be written: {error}. Batches go on without it; make "
                        f"{self.path.parent} writable or change METRICS_DIRECTORY."
                    )

    def _note_newest(self, newest: datetime | None) -> None:
        # A document that was committed late is older than what was processed before it.
        if newest is not None:
            known = self._state.gauges.get("newest_processed_timestamp_seconds", 0.0)
            self._state.gauges["newest_processed_timestamp_seconds"] = max(known, newest.timestamp())

    def _note_lag(self, now: datetime) -> None:
        newest = self._state.gauges.get("newest_processed_timestamp_seconds")
        if newest is not None:
            self._state.gauges["poll_lag_seconds"] = max(0.0, round(now.timestamp() - newest, 3))

    def _restore(self) -> None:
        try:
            self._state.restore(self.path.read_bytes().decode("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, UnicodeDecodeError, CorruptMetricsError) as error:
            # A decoding error would print the bytes; its reason is enough.
            cause = error.reason if isinstance(error, UnicodeDecodeError) else error
            warn_stderr(f"The earlier metrics file {self.path} cannot be read, counters start at 0: {cause}.")


def _replace(path: Path, content: bytes, durable: bool) -> None:
    """Write a temporary file beside `path` and rename it; its name does not end in `.prom`."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(_FOLDER_MODE)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        # node_exporter runs as another user, and a temporary file is private by default.
        temporary.chmod(_FILE_MODE)
        _rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _rename(source: Path, target: Path) -> None:
    # On Windows a reader that has the file open forbids the rename for a moment.
    for _ in range(4 if os.name == "nt" else 0):
        with contextlib.suppress(PermissionError):
            source.replace(target)
            return
        time.sleep(0.05)
    source.replace(target)
