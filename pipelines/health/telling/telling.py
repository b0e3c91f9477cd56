"""What a run tells once, when it is new: the receivers, their counts and warnings, and the letters."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from bson import ObjectId
from pydantic import SecretStr
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from contracts import Clock, Rejected
from contracts.effects import LeastEffect
from contracts.quiet_hours import QuietHours
from monitoring.health.telling_metrics import TellingMetrics
from monitoring.logs import get_logger
from monitoring.metrics import Metrics
from pipelines.health.telling.delivery import KEPT, LETTERS, Delivery, Receiver, backend_body, webhook_body
from pipelines.health.telling.news import News
from pipelines.health.telling.state import Notice
from pipelines.health.telling.teller import Teller
from sinks.dead_letters import DeadLetters, Letter
from sinks.health.backend_client import BackendClient
from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import TIMEOUT_SECONDS
from sinks.health.told_states import told_states
from sinks.health.webhook_client import WebhookClient
from told import told

WEBHOOK: Final = "webhook"
BACKEND: Final = "backend"
# Where the backend keeps people, and perhaps their zone.
_USERS: Final = "users"
_ZONE: Final = "timezone"
_NAMES: Final = {WEBHOOK: "NOTIFY_WEBHOOK_URL", BACKEND: "BACKEND_API_URL"}
_GO_ON: Final = "Batches go on, and what is new waits"
_WARNINGS: Final = {
    "unauthorized": "refuses what it is sent (401 or 403)",
    "not_found": "has nothing at that address (404)",
    "server_error": "answers with errors (5xx)",
    "timeout": f"does not answer within {TIMEOUT_SECONDS:g} s",
    "unreachable": "cannot be reached",
    "unexpected_answer": "answers as no receiver does",
    "bad_request": "refused a notice as malformed (400); its letter says which",
}

logger = get_logger(__name__)


@dataclass(frozen=True)
class Rules:
    """Who is told and when: the webhook if `url`, the backend if it has an address and `token`.

    `zone` is that of the calendar days, and of people who have none. At most `per_second` are sent.
    """

    url: SecretStr
    secret: SecretStr
    backend_url: str
    token: SecretStr
    zone: str
    least: Mapping[str, LeastEffect] = field(default_factory=dict)
    quiet: QuietHours | None = None
    per_second: float = 20.0


class Telling:
    """Tells by `rules` what is new in `results`; without a receiver it does nothing."""

    def __init__(
        self,
        rules: Rules,
        results: Collection[dict[str, Any]],
        letters: DeadLetters,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._letters, self._clock, self._metrics = letters, clock, metrics
        self._quiet, self._zone = rules.quiet, ZoneInfo(rules.zone)
        self._people = results.database[_USERS]
        self._counts: Counter[str] = Counter()
        self._warned: set[tuple[str, str]] = set()
        self._teller: Teller | None = None
        closing = threading.Event()
        self._receivers = _receivers(rules, closing)
        if self._receivers:
            self._measured = TellingMetrics(metrics)
            for name in self._receivers:
                self._measured.begin(name)
            self._states = told_states(results)
            news = News(tuple(self._receivers), self._zone, rules.least, rules.quiet)
            rest = partial(closing.wait, 1.0 / rules.per_second)
            delivery = Delivery(self._receivers, news, self._store, self._note, rest)
            self._teller = Teller(
                results, self._states, news, delivery, self._zone_of, closing, clock=clock.now
            )
            metrics.add_probe(self._show)
            self._teller.start()

    def publish(self, users: Sequence[ObjectId], calculated_at: datetime) -> None:
        """Let the results of `users`, of `calculated_at`, be looked at; never waits or raises."""
        if self._teller is not None:
            self._teller.publish(users, calculated_at)

    def close(self, seconds: float) -> None:
        """Look and tell for at most `seconds` more; what is left waits in the database."""
        if self._teller is not None:
            self._teller.close(seconds)
            self._metrics.write()

    def again(self, letter: Letter) -> bool:
        """Tell the notice of `letter` again; False without its receiver. pymongo's errors pass."""
        record, receiver = letter.record, str(letter.record.get("receiver"))
        body, user = record.get("notice"), record.get("userId")
        if self._teller is None or receiver not in self._receivers:
            return False
        if not isinstance(body, Mapping) or not isinstance(user, ObjectId):
            return False
        now = self._clock.now()
        self._teller.again(user, Notice(str(record["_id"]), dict(body), (receiver,), now, now))
        return True

    def summary(self) -> str | None:
        """One line for the end of a session; None if nothing was told."""
        if not self._counts:
            return None
        counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._counts.items()))
        return f"📨 Told once: {counted}"

    def _zone_of(self, user: ObjectId) -> ZoneInfo:
        """The person's own zone, if the backend knows one; without quiet hours nobody asks."""
        if self._quiet is None:
            return self._zone
        try:
            found = self._people.find_one({"_id": user}, {_ZONE: 1}) or {}
            return ZoneInfo(str(found.get(_ZONE) or self._zone.key))
        except (KeyError, ValueError, OSError, OperationFailure):
            # No zone, or no right to read it.
            return self._zone

    def _store(self, rejected: Rejected) -> None:
        self._letters.store([rejected], "notices", datetime.now(timezone.utc))
        self._measured.letter(str(rejected.field))
        if rejected.reason == LETTERS[1]:
            hours = KEPT.total_seconds() / 3600
            logger.warning(f"A notice was not taken for {hours:g} hours; it is a dead letter now")

    def _show(self) -> None:
        is_open = {name: receiver.breaker.is_open for name, receiver in self._receivers.items()}
        self._measured.show(self._states.waiting(), is_open)

    def _note(self, receiver: str, outcome: str) -> None:
        self._counts[f"{outcome} ({receiver})"] += 1
        self._measured.tried(receiver, outcome)
        if outcome == "sent":
            if any(name == receiver for name, _ in self._warned):
                logger.info(f"The receiver of notices ({_NAMES[receiver]}) takes them again")
            self._warned = {each for each in self._warned if each[0] not in (receiver, "none")}
        elif (receiver, outcome) not in self._warned:
            self._warned.add((receiver, outcome))
            if receiver in _NAMES and outcome in _WARNINGS:
                what = f"The receiver of notices ({_NAMES[receiver]}) {_WARNINGS[outcome]}"
                logger.warning(f"{what}. {_GO_ON}.")
            elif receiver not in _NAMES:
                what = f"What is new cannot be looked at, or not be noted in {self._states.name} ({outcome})"
                logger.warning(f"{what}: `{told('check')}` may say why. It is tried again.")


def _receivers(rules: Rules, closing: threading.Event) -> dict[str, Receiver]:
    found = {}
    if rules.url.get_secret_value():
        breaker = CircuitBreaker()
        client = WebhookClient(rules.url, rules.secret, breaker, closing)
        found[WEBHOOK] = Receiver(WEBHOOK, client, breaker, webhook_body)
    if rules.token.get_secret_value():
        breaker = CircuitBreaker()
        backend = BackendClient(rules.backend_url, rules.token, breaker, closing)
        found[BACKEND] = Receiver(BACKEND, backend, breaker, backend_body)
    return found
