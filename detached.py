"""Work that nothing can interrupt, such as the system's look-up of a name: it can only be left to itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def detached(work: Callable[[], T], name: str) -> Future[T]:
    """Begin `work` in a daemon thread `name`; returns what will have its result, or what it raised."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


def look_up(names: Sequence[str], seconds: float) -> Sequence[Sequence[str] | OSError]:
    """Returns for each host name its addresses, or why they are not known after `seconds`.

    Names of two servers are looked up at once: one whose server of names hangs does not delay the other.
    """
    asked = [detached(partial(_addresses, name), "look-up of a name") for name in names]
    wait(asked, seconds)
    return [_answer(one, seconds) for one in asked]


def _addresses(name: str) -> Sequence[str]:
    found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def _answer(asked: Future[Sequence[str]], seconds: float) -> Sequence[str] | OSError:
    if not asked.done():
        return TimeoutError(f"no server of names answered within {seconds:g} seconds")
    error = asked.exception()
    if isinstance(error, OSError):
        return error
    return asked.result()
