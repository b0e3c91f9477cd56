"""Reads the signs of life that a pipeline leaves in files: its metrics file and its newest good batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from dashboard.data.batch_logs import newest_success
from dashboard.data.condition import Signs
from dashboard.data.metrics_file import read_metrics
from dashboard.data.remembered import Remembered

# All open pages share an answer for this time.
_SECONDS = 5.0


class ServiceFiles:
    """The files of the pipeline `prefix` ("" for health), remembered for all sessions."""

    def __init__(
        self, prefix: str, log_directory: Path, metrics_directory: Path, interval_seconds: float
    ) -> None:
        """`interval_seconds` counts where the metrics file does not say what the stream has."""
        self._prefix = prefix
        self._log_directory = log_directory
        self._metrics_directory = metrics_directory
        self._interval_seconds = interval_seconds
        self._memory = Remembered(lambda error: type(error).__name__, (OSError, ValueError))

    def signs(self) -> Signs:
        """What the files tell; nothing where they are not, or cannot be read."""
        return self._memory.get("signs", self._read, _SECONDS).value or Signs(self._interval_seconds)

    def _read(self) -> Signs:
        metrics = read_metrics(self._metrics_directory, self._prefix)
        values = metrics.values if metrics else {}
        prefix = self._prefix or "health"
        return Signs(
            values.get(f"{prefix}_batch_interval_seconds") or self._interval_seconds,
            worked=newest_success(self._log_directory, self._prefix),
            looked=_moment(values, f"{prefix}_last_poll_timestamp_seconds"),
            written=metrics.written if metrics else None,
        )


def _moment(values: Mapping[str, float], name: str) -> datetime | None:
    seconds = values.get(name)
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
