"""Structured logs: set up once by main, secrets masked in one place, plain lines or JSON.

`configure` is called only by the command line. Everything else takes a logger with `get_logger` and may do so
at import: the logger looks up the configuration when it is used.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from contracts import ConfigurationError
from monitoring.console import ConsoleRenderer, use_color, write_line, write_stderr
from monitoring.redaction import Redactor

LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}

# The one place that masks; `configure` tells it the secrets.
_redactor = Redactor()


def configure(
    level: str, secrets: Sequence[str] = (), json: bool = False, stream: TextIO | None = None
) -> None:
    """Send logs of at least `level` to `stream` (standard output unless given), with `secrets` masked.

    Libraries' logs (the standard library's `logging`) take the same way from WARNING on, so that their
    messages and tracebacks are masked too. Calling it again replaces the configuration.

    Raises ConfigurationError when `level` is not one of LEVELS.
    """
    threshold = LEVELS.get(level.upper())
    if threshold is None:
        raise ConfigurationError(f"LOG_LEVEL is {level!r}; it must be one of {', '.join(LEVELS)}.")
    _redactor.set_secrets(secrets)
    structlog.configure(
        processors=_processors(stream or sys.stdout, json),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *names: _StreamLogger(stream, *names),
        cache_logger_on_first_use=False,
    )
    _forward_standard_logging(max(threshold, logging.WARNING))


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger that names its module in JSON; console lines leave the name out, as the seed's do."""
    return cast(FilteringBoundLogger, structlog.get_logger(name))


def redact(text: str) -> str:
    """Returns `text` without the configured secrets and without `user:password@`, for other files."""
    return _redactor.text(text)


def redact_value(value: Any) -> Any:
    """`value` as plain JSON values (dates ISO 8601, NaN as text), without secrets in any string of it."""
    return _redactor.value(value)


def mask_uncaught() -> None:
    """Mask uncaught exceptions of all threads, and warnings. Call it at the start; it cannot be undone."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        write_stderr(redact("".join(traceback.format_exception(kind, error, trace)).rstrip()))

    sys.excepthook = show
    threading.excepthook = lambda found: show(found.exc_type, found.exc_value, found.exc_traceback)
    sys.unraisablehook = lambda found: show(found.exc_type, found.exc_value, found.exc_traceback)
    logging.captureWarnings(True)


def warn_stderr(message: str) -> None:
    """A warning about logs or metrics themselves, which therefore cannot go through them."""
    write_stderr(f"⚠️  {redact(message)}")


def _processors(stream: TextIO, json: bool) -> list[Processor]:
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    if json:
        return [*before, _redactor, structlog.processors.JSONRenderer()]
    return [*before, _redactor, ConsoleRenderer(use_color(stream))]


class _StreamLogger:
    """Writes finished lines; a closed or full stream costs one warning, never a batch.

    Without a stream it asks for sys.stdout at each line, because a progress bar puts its own in place.
    """

    _warned = False

    def __init__(self, stream: TextIO | None, name: str = "") -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        if not write_line(self._stream or sys.stdout, line) and not _StreamLogger._warned:
            _StreamLogger._warned = True
            warn_stderr("Log lines cannot be written to the output any more; the work goes on without them.")

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class _Forward(logging.Handler):
    """Hands the records of libraries to structlog, and so to the redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        logger: Any = get_logger(record.name)
        reached = [number for number in LEVELS.values() if number <= record.levelno]
        logger.log(max(reached, default=logging.DEBUG), _message(record), exc_info=record.exc_info or None)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit; logging's own report shows them unmasked
        return str(record.msg)


def _forward_standard_logging(threshold: int) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(threshold)
