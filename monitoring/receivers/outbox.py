"""Hands what batches did to a receiver, in a thread of its own: no batch ever waits for it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from contracts import BatchReport
from monitoring.logs import get_logger

# A few hundred bytes each.
MAX_WAITING = 1_000
CLOSE_SECONDS = 3.0
_FIRST_WAIT_SECONDS, _MAX_WAIT_SECONDS = 1.0, 30.0
# What became of a batch's news.
SENT, DROPPED, REFUSED = "sent", "dropped", "refused"
_AWAY = "away"

logger = get_logger(__name__)


class ReceiverError(Exception):
    """The text says why, without any secret; `status` is that of HTTP, 0 without an answer."""

    def __init__(self, text: str = "", status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class AwayError(ReceiverError):
    """The receiver does not take anything now, and may later."""


class RefusedError(ReceiverError):
    """The receiver will never take this."""


class Parcel(NamedTuple):
    """What is sent at once: it tells of so many `batches`."""

    batches: int
    content: Any


class Receiver(ABC):
    """Turns reports of batches into parcels, and delivers those. Its thread alone calls it.

    `label` is its word in metrics, `title` its name for people, `setting` what says where it is.
    """

    label: str
    title: str
    setting: str
    # How often `rest` is asked.
    every_seconds: float

    @abstractmethod
    def parcels(self, report: BatchReport) -> Iterable[Parcel]:
        """Take a report; what is to be sent now."""

    @abstractmethod
    def rest(self, ending: bool) -> Iterable[Parcel]:
        """What is to be sent after some time without a report, or because the run is `ending`."""

    @abstractmethod
    def deliver(self, parcel: Parcel) -> None:
        """Send it; a parcel that came back may be delivered again. Raises AwayError or RefusedError."""


class Outbox:
    """Tells one receiver of batches: at most 1,000 wait, and the oldest is dropped for a newer one.

    `count` gets an outcome and a number of batches. What does not get through is tried again, with longer and
    longer waits, until the run ends. The log has one line when the receiver stops taking it, and one when it
    takes it again.
    """

    def __init__(
        self,
        receiver: Receiver,
        count: Callable[[str, int], None],
        first_wait_seconds: float = _FIRST_WAIT_SECONDS,
    ) -> None:
        self._receiver, self._count, self._first_wait = receiver, count, first_wait_seconds
        self._waiting: deque[BatchReport] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # What the log has said.
        self._told: set[str] = set()
        self._has_given_up = False

    def start(self) -> None:
        """Begin to send; a second call does nothing."""
        with self._changed:
            if self._thread is None:
                self._closing, self._has_given_up = threading.Event(), False
                name = f"receiver {self._receiver.label}"
                self._thread = threading.Thread(
                    target=self._work, args=[self._closing], name=name, daemon=True
                )
                self._thread.start()

    def put(self, report: BatchReport) -> None:
        """Tell of a batch; never waits and never raises."""
        with self._changed:
            self._waiting.append(report)
            full = len(self._waiting) > MAX_WAITING
            if full:
                self._waiting.popleft()
            self._changed.notify()
        self.start()
        if full:
            self._dropped(1)

    def end(self) -> None:
        """Begin to send what waits, each once, and then no more; `close` waits for it."""
        with self._changed:
            self._closing.set()
            self._changed.notify()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, each once, for at most `seconds`; what is left then is dropped."""
        self.end()
        with self._changed:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(seconds)
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
        if left:
            self._dropped(left)

    def _work(self, closing: threading.Event) -> None:
        receiver, asked = self._receiver, time.monotonic()
        while True:
            report = self._next(closing, asked + receiver.every_seconds)
            ending = report is None and closing.is_set()
            if report is not None:
                self._send(partial(receiver.parcels, report), 1, closing)
            if ending or time.monotonic() >= asked + receiver.every_seconds:
                asked = time.monotonic()
                self._send(partial(receiver.rest, ending), 0, closing)
            if ending:
                return

    def _next(self, closing: threading.Event, until: float) -> BatchReport | None:
        with self._changed:
            while not (self._waiting or closing.is_set()) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._waiting.popleft() if self._waiting else None

    def _send(self, make: Callable[[], Iterable[Parcel]], batches: int, closing: threading.Event) -> None:
        try:
            parcels = list(make())
        except Exception as error:  # noqa: BLE001 - telling others must not stop, and not end the run
            self._refused(batches, error)
            return
        for parcel in parcels:
            self._deliver(parcel, closing)

    def _deliver(self, parcel: Parcel, closing: threading.Event) -> None:
        wait = self._first_wait
        while not self._has_given_up:
            try:
                self._receiver.deliver(parcel)
            except AwayError as error:
                self._tell(_AWAY, f"cannot be reached: {error}")
                # Further tries would only use up the time of the end.
                self._has_given_up = closing.is_set()
            except Exception as error:  # noqa: BLE001 - as above
                self._refused(parcel.batches, error)
                return
            else:
                self._delivered(parcel.batches)
                return
            closing.wait(wait)
            wait = min(2 * wait, _MAX_WAIT_SECONDS)
        self._dropped(parcel.batches)

    def _delivered(self, batches: int) -> None:
        self._count(SENT, batches)
        if _AWAY in self._told:
            self._told -= {_AWAY, DROPPED}
            logger.info(f"{self._receiver.title} is told of batches again")

    def _refused(self, batches: int, error: Exception) -> None:
        self._count(REFUSED, batches)
        why = str(error) if isinstance(error, RefusedError) else type(error).__name__
        # Of one that takes traces and no metrics it is told once.
        self._tell(REFUSED, f"does not take what it is told: {why}")

    def _dropped(self, batches: int) -> None:
        self._count(DROPPED, batches)
        if batches:
            self._tell(DROPPED, "is not told of some batches: receiver_batches_total counts them")

    def _tell(self, what: str, sentence: str) -> None:
        if what not in self._told:
            self._told.add(what)
            goes_on = f"Batches go on without it; see {self._receiver.setting}"
            logger.warning(f"{self._receiver.title} {sentence}. {goes_on}")
