"""Helpers of every command: settings with logs set up, times as people write them, faults as one line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from checkpoint.timestamp_text import parse_timestamp
from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from monitoring import logs
from monitoring.console import tolerate_any_text, write_stderr
from pipelines.catalog import PIPELINES

if TYPE_CHECKING:
    from pymongo.errors import PyMongoError

    from settings import Settings


def one_of(names: Collection[str]) -> dict[str, Any]:
    """What makes an option take one of `names` and nothing else."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(names)}.")
        return text

    return {"parser": parse, "metavar": f"[{'|'.join(names)}]"}


AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")]
PipelineOption = Annotated[str, typer.Option("--pipeline", help="Which pipeline.", **one_of(PIPELINES))]


def prepare(logs_to: TextIO | None = None, json_logs: bool = False) -> Settings:
    """Settings, with logging configured and what is odd in `.env` told.

    Commands whose standard output is an answer send their logs to standard error (`logs_to`).
    """
    from settings import load, remarks

    settings = load(log_json=True) if json_logs else load()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json, logs_to)
    for line in remarks():
        logs.get_logger(__name__).warning(line)
    return settings


def speaker(settings: Settings) -> Callable[[str], None]:
    """Returns how to print a run's own lines: as they are, or as log lines where each has to be JSON."""
    return logs.get_logger(__name__).info if settings.log_json else print


def parse_time(text: str) -> datetime:
    """ISO 8601 text as UTC. Raises ConfigurationError with examples."""
    try:
        return parse_timestamp(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None


def guarded(call: Callable[[], Any]) -> int:
    """Run `call`; faults that a person can mend become one line on stderr and exit code 2.

    Any other error is a bug: print its traceback, with secrets masked, and exit with code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    try:
        call()
    except (ConfigurationError, AlreadyRunningError) as error:
        write_stderr(f"❌ {logs.redact(str(error))}")
        return 2
    except ServiceError as error:
        write_stderr(f"❌ {logs.redact(str(error))}")
        return 1
    except Exception as error:  # noqa: BLE001 - the last boundary: typer and Python would print it unmasked
        return _driver_or_bug(error)
    return 0


def _driver_or_bug(error: Exception) -> int:
    from pymongo.errors import PyMongoError

    if isinstance(error, PyMongoError):
        write_stderr(f"❌ {mongo_fault(error)} Run `python main.py check`.")
        return 2
    trace = "".join(traceback.format_exception(error)).rstrip()
    write_stderr(f"{logs.redact(trace)}\n❌ This is a bug of the service: please report it.")
    return 1


def mongo_fault(error: PyMongoError) -> str:
    """One sentence without secrets: what MongoDB, or its absence, answered."""
    first_line = str(error).partition(" (configured timeouts:")[0].partition(", full error:")[0]
    first_line = first_line.partition(", Timeout:")[0].partition(", Topology")[0]
    return logs.redact(
        f"MongoDB at MONGO_URI does not answer as needed ({type(error).__name__}: {first_line})."
    )
