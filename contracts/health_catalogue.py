"""Reads the team's own file of metrics, which METRIC_CATALOGUE names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError
from contracts.health_metric_file import parse_metrics, shipped
from contracts.health_metrics import Metric

_MOST_BYTES: Final = 100_000


def read_metrics(path: Path | None) -> dict[str, Metric]:
    """The shipped catalogue with what the file `path` adds and changes, by metricType.

    Raises ConfigurationError with a line for each fault of the file.
    """
    return shipped() if path is None else parse_metrics(str(path), _content(path))


def _content(path: Path) -> str:
    try:
        if not path.is_file():
            missing = "is no file" if path.exists() else "does not exist"
            raise ConfigurationError(f"{path}: {missing}; correct METRIC_CATALOGUE, or make the file")
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigurationError(f"{path}: has more than {_MOST_BYTES:,} bytes, so it is no catalogue")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read ({why}); let this user read it") from None
