"""The result of a check; runs a check so that it can neither hang nor break the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pymongo.errors import PyMongoError

from commands.common import mongo_fault
from contracts import ServiceError

Status = Literal["ok", "warning", "failed", "skipped"]
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`detail` says what was found; `remedy` what to do about it, for warnings and failures."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


def ok(name: str, detail: str) -> CheckResult:
    """Make the result of a check that found all as it should be."""
    return CheckResult(name, "ok", detail)


def warning(name: str, detail: str, remedy: str) -> CheckResult:
    """Make the result of a check that found that the service runs, but not as well as it could."""
    return CheckResult(name, "warning", detail, remedy)


def failed(name: str, detail: str, remedy: str) -> CheckResult:
    """Make the result of a check that found that the service would not run, or not rightly."""
    return CheckResult(name, "failed", detail, remedy)


def skipped(name: str, detail: str) -> CheckResult:
    """Make the result of a check that could not be made, or need not be."""
    return CheckResult(name, "skipped", detail)


# Checks by name.
Looks = Iterable[tuple[str, Callable[..., CheckResult]]]


def after(first: CheckResult, looks: Looks, *at: object) -> Iterator[CheckResult]:
    """`first`, then what each of `looks` says of `at`; they are skipped if the server of `first` is away."""
    yield first
    for name, look in looks:
        if first.status == "failed":
            yield skipped(name, f"{first.name} does not answer")
        else:
            yield bounded(name, partial(look, *at))


def bounded(name: str, check: Callable[[], CheckResult], seconds: float = PATIENCE_SECONDS) -> CheckResult:
    """The result of `check`; a failed one when it raises or takes longer than `seconds`.

    What hangs is left behind in a daemon thread, which does not keep the process alive.
    """
    answers: queue.Queue[CheckResult] = queue.Queue()

    def work() -> None:
        try:
            answers.put(check())
        except PyMongoError as error:
            answers.put(failed(name, mongo_fault(error), "See the row MongoDB, and the server's log."))
        except ServiceError as error:
            answers.put(failed(name, str(error), "As the message says."))
        except Exception as error:  # noqa: BLE001 - the boundary: one check must not end the others
            answers.put(failed(name, f"{type(error).__name__}: {error}", "Please report this."))

    threading.Thread(target=work, name=f"check {name}", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return failed(
            name, f"no answer within {seconds:g} seconds", "See whether the machine or server is overloaded."
        )
