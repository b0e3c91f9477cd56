"""Delivers one person's waiting notices to their receivers, and says what is left of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from contracts import Rejected
from pipelines.health.telling.news import News
from pipelines.health.telling.state import Notice, State
from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import NoticeError

# Why there is a letter about a notice: the receiver did not want this one, or none for so long.
REFUSED: Final = "notice_refused"
UNDELIVERED: Final = "notice_undelivered"
LETTERS: Final = (REFUSED, UNDELIVERED)
# A receiver that is away longer than this gets the rest by `dlq retry`.
KEPT: Final = timedelta(hours=72)
_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(hours=1)
_MOST_DOUBLED: Final = 10


class Poster(Protocol):
    """Takes bodies; raises NoticeError."""

    def post(self, body: bytes) -> object:
        """Deliver `body`."""
        ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told: a name, the `client` that delivers, its breaker, and how a notice becomes a body."""

    name: str
    client: Poster
    breaker: CircuitBreaker
    encode: Callable[[Mapping[str, Any]], bytes]


@dataclass(frozen=True)
class Delivery:
    """Delivers to `receivers`; `store` takes letters, `note` the outcome of each try, `rest` keeps a rate."""

    receivers: Mapping[str, Receiver]
    news: News
    store: Callable[[Rejected], None]
    note: Callable[[str, str], None]
    rest: Callable[[], object]

    def deliver(self, state: State, now: datetime, own: ZoneInfo) -> State:
        """`state` without what was taken, or became a letter; what is left has a later time.

        Raises DeadLetterError where a letter cannot be stored: the notice waits on then.
        """
        waiting = []
        for notice in state.waiting:
            left: Notice | None = notice
            if notice.due <= now:
                later = self.news.due(now, own)
                # Quiet hours may have come while it waited for its receiver.
                left = replace(notice, due=later) if later > now else self._try(state, notice, now)
            if left is not None:
                waiting.append(left)
        return replace(state, waiting=tuple(waiting))

    def _try(self, state: State, notice: Notice, now: datetime) -> Notice | None:
        left, failed = [], False
        for name in notice.to:
            receiver = self.receivers.get(name)
            # None: it was configured when the notice was made, and is no more.
            if receiver is None:
                continue
            outcome = self._post(receiver, notice)
            if outcome in ("sent", "bad_request"):
                if outcome == "bad_request":
                    self.store(letter_of(state, notice, name, REFUSED))
            elif now - notice.since >= KEPT:
                self.store(letter_of(state, notice, name, UNDELIVERED))
            else:
                left.append(name)
                failed = failed or outcome != "left_alone"
        if not left:
            return None
        wait = (
            min(_FIRST_WAIT * 2 ** min(notice.tries, _MOST_DOUBLED), _LONGEST_WAIT) if failed else _FIRST_WAIT
        )
        return replace(notice, to=tuple(left), due=now + wait, tries=notice.tries + failed)

    def _post(self, receiver: Receiver, notice: Notice) -> str:
        """Try once; returns `sent`, or why not: `left_alone` while the breaker is open."""
        if receiver.breaker.wait_seconds() > 0:
            return "left_alone"
        try:
            receiver.client.post(receiver.encode(notice.body))
        except NoticeError as error:
            outcome = error.reason
        else:
            outcome = "sent"
        self.note(receiver.name, outcome)
        self.rest()
        return outcome


def letter_of(state: State, notice: Notice, receiver: str, reason: str) -> Rejected:
    """What the letter of a notice that `receiver` did not take says."""
    record = {"_id": notice.id, "userId": state.user, "receiver": receiver, "notice": dict(notice.body)}
    return Rejected(record, reason, receiver)


def webhook_body(body: Mapping[str, Any]) -> bytes:
    """The notice itself."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def backend_body(body: Mapping[str, Any]) -> bytes:
    """The notice as an event of the backend, whose client drops a second one of an id and second."""
    data = {**body, "documentId": body["id"], "timestamp": body["foundAt"]}
    event = {"userId": body["userId"], "eventType": "analytics:transition", "data": data}
    return webhook_body(event)
