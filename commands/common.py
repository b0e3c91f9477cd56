"""Helpers of every command: settings with logs set up, times as people write them, faults as one line."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.exceptions import TyperException

from certificates import why_untrusted
from checkpoint.timestamp_text import parse_timestamp
from contracts import AlreadyRunningError, ConfigurationError, ServiceError, StoppedError
from monitoring import logs
from monitoring.console import tolerate_any_text, write_stderr
from pipelines.catalog import PIPELINES
from told import EXTRAS, install, told

if TYPE_CHECKING:
    from pymongo.errors import PyMongoError

    from settings import Settings


# The exit codes of every command; docs/operations.md has them for people.
DONE, FAILED, WRONG_USE, STOPPED = range(4)
# What typer makes of Ctrl+C.
_INTERRUPTED = 130


def one_of(names: Collection[str]) -> dict[str, Any]:
    """What makes an option take one of `names` and nothing else."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(names)}.")
        return text

    return {"parser": parse, "metavar": f"[{'|'.join(names)}]"}


AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")]

JsonLogs = Annotated[bool, typer.Option("--json", help="Log lines as JSON, like LOG_JSON=true.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="The whole summary at the end, like WHOLE_SUMMARY=true.")
]
PipelineOption = Annotated[str, typer.Option("--pipeline", help="Which pipeline.", **one_of(PIPELINES))]


def prepare(logs_to: TextIO | None = None, json_logs: bool = False, verbose: bool = False) -> Settings:
    """Settings, with logging configured and what is odd in `.env` told.

    Commands whose standard output is an answer send their logs to standard error (`logs_to`).
    """
    from commands.setting_names import remarks
    from settings import load

    asked: dict[str, Any] = {"log_json": json_logs, "whole_summary": verbose}
    settings = load(".env", **{name: value for name, value in asked.items() if value})
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


def confirm(question: str, yes: bool) -> None:
    """Ask before something is lost, unless `yes`.

    Raises StoppedError when the answer is no, ConfigurationError when there is nobody to answer.
    """
    if yes:
        return
    try:
        answer = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise ConfigurationError(
            "Nobody is here to answer: repeat it with --yes. Nothing was changed."
        ) from None
    if not answer:
        raise StoppedError("Nothing was changed.")


def guarded(call: Callable[[], Any]) -> int:
    """Run `call`, and return the exit code: what it returns if that is one, else 0 when it is done.

    Wrong options and faults that a person can mend become one line on stderr and code 2, other failures code
    1; SIGTERM and Ctrl+C end it in order, with code 3. Any other error is a bug: print its traceback, with
    secrets masked, and return code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    try:
        with _sigterm_is_ctrl_c():
            code = call()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last boundary: nobody else masks it
        return _end_of(KeyboardInterrupt() if _is_of_an_interrupt(error) else error)
    if code == _INTERRUPTED:
        return _end_of(KeyboardInterrupt())
    return code if isinstance(code, int) else DONE


_ENDS = (
    ((ConfigurationError, AlreadyRunningError, TyperException), "❌", WRONG_USE),
    ((StoppedError, KeyboardInterrupt, typer.Abort), "✋", STOPPED),
    (ServiceError, "❌", FAILED),
)


def _is_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether `error` came of a stop: Java, for one, does not answer in the middle of a call."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _end_of(error: BaseException) -> int:
    for kinds, mark, code in _ENDS:
        if isinstance(error, kinds):
            return _told(f"{mark} {_sentence(error)}", code)
    return _driver_or_bug(error)


def _told(line: str, code: int) -> int:
    write_stderr(logs.redact(line))
    return code


def _sentence(error: BaseException) -> str:
    """What `error` tells a person, on one line; of wrong options also which help tells more."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "Stopped before the end; what was done stays, and the same command can be started again."
    context = getattr(error, "ctx", None)
    says = error.format_message() if hasattr(error, "format_message") else str(error)
    if not context:
        return says
    program, _, words = context.command_path.partition(" ")
    helps = told(f"{words} --help".strip()) if program == "pulse" else f"python {context.command_path} --help"
    return f"{says if says.endswith('?') else says.rstrip('.') + '.'} See {helps}."


@contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt inside the block, where nothing listens to it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _driver_or_bug(error: BaseException) -> int:
    from pymongo.errors import PyMongoError

    if isinstance(error, PyMongoError):
        return _told(f"❌ {mongo_fault(error)} Run `{told('check')}`.", WRONG_USE)
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get(str(error.name).partition(".")[0])):
        return _told(f"❌ {error.name} is not installed: {install(extra)}", WRONG_USE)
    trace = "".join(traceback.format_exception(error)).rstrip()
    return _told(f"{trace}\n❌ This is a bug of the service: please report it.", FAILED)


def mongo_fault(error: PyMongoError) -> str:
    """One sentence without secrets: what MongoDB, or its absence, answered."""
    if why := why_untrusted(str(error)):
        return f"The certificate of MongoDB at MONGO_URI {why}."
    first_line = str(error).partition(" (configured timeouts:")[0].partition(", full error:")[0]
    first_line = first_line.partition(", Timeout:")[0].partition(", Topology")[0]
    return logs.redact(
        f"MongoDB at MONGO_URI does not answer as needed ({type(error).__name__}: {first_line})."
    )
