"""A backend as strict as the contract: a real HTTP server that judges every event it gets.

It takes events at `POST /api/events/emit` like the existing one and answers with its codes. What the existing
one would let pass although its client could not use it (a wrong enum, a date that is no ISO text, a wrong
count) is noted in `violations`.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-service-token-for-tests"  # noqa: S105
LIMIT_BYTES = 100 * 1024
METRICS = {
    "steps", "distance", "calories", "activeMinutes", "weight", "sleepHours", "heartPoints", "hydration",
}  # fmt: skip
PERIODS = {"7day": "week", "30day": "month", "90day": "quarter"}
OPERATIONS = {"insert", "update", "recalculate"}
TYPES = {"analytics:update", "analytics:batch_update", "analytics:error"}
# Upper bounds of the model; steps first because it is the one that tests use.
AVERAGES = {"steps": 100_000, "calories": 10_000, "distance": 200, "activeMinutes": 1_440, "sleepHours": 24}
_USER = re.compile(r"[0-9a-fA-F]{24}")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass
class Request:
    """One request as it came, and how it was answered."""

    time: float
    status: int
    code: str
    body: bytes
    event: dict[str, Any] = field(default_factory=dict)


class FakeBackend:
    """Starts listening when it is made; every attribute may be changed while it runs."""

    def __init__(self) -> None:
        self.token: str | None = TOKEN
        # Open connections by user, as the SSE streams would be.
        self.connections: dict[str, int] = {}
        # Answer everything with this status, as a broken backend does.
        self.broken: int | None = None
        # Wait so long before answering.
        self.delay_seconds = 0.0
        # Set: nobody is kept waiting any longer.
        self.released = threading.Event()
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.up()

    @property
    def address(self) -> str:
        """What BACKEND_API_URL holds."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that were taken, in their order."""
        return [request.event for request in list(self.requests) if request.status == 200]

    @property
    def is_up(self) -> bool:
        """Whether anybody is listening."""
        return self._server is not None

    def up(self) -> None:
        """Listen, on the same port as before."""
        backend = self

        class Handler(_Handler):
            owner = backend

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def judge(self, path: str, authorization: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of the answer, by the contract."""
        if path != "/api/events/emit":
            return 404, {"error": "not found"}
        if self.broken is not None:
            return self.broken, {"code": "BROKEN"}
        if len(body) > LIMIT_BYTES or self.token is None:
            return 500, {"code": "SERVICE_TOKEN_NOT_CONFIGURED" if self.token is None else "ENTITY_TOO_LARGE"}
        if authorization != f"Bearer {self.token}":
            given = (authorization or "").startswith("Bearer ")
            return 403, {"code": "INVALID_SERVICE_TOKEN" if given else "MISSING_SERVICE_TOKEN"}
        return self._take(body)

    def _take(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            event = json.loads(body, parse_constant=_refuse)
        except ValueError:
            return 400, {"code": "INVALID_JSON"}
        if not event.get("userId"):
            return 400, {"code": "MISSING_USER_ID"}
        if not event.get("eventType"):
            return 400, {"code": "MISSING_EVENT_TYPE"}
        if not isinstance(event.get("data"), dict):
            return 400, {"code": "INVALID_DATA"}
        if not _USER.fullmatch(str(event["userId"])):
            return 400, {"code": "INVALID_USER_ID_FORMAT"}
        self.violations += violations(event)
        notified = self.connections.get(event["userId"], 0)
        answer = {
            "success": True,
            "userId": event["userId"],
            "eventType": event["eventType"],
            "connectionsNotified": notified,
            "hasActiveConnections": notified > 0,
        }
        return 200, answer


class _Handler(BaseHTTPRequestHandler):
    owner: FakeBackend
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        """One request."""
        if not self.owner.is_up:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        arrived = time.monotonic()
        status, answer = self.owner.judge(self.path, self.headers.get("Authorization"), body)
        if self.headers.get("Content-Type") != "application/json":
            self.owner.violations.append("the body is not declared as JSON")
        event: dict[str, Any] = {}
        with suppress(ValueError):
            event = json.loads(body)
        self.owner.requests.append(Request(arrived, status, answer.get("code", ""), body, event))
        self.owner.released.wait(self.owner.delay_seconds)
        text = json.dumps(answer).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if 300 <= status < 400:
                self.send_header("Location", "/api/elsewhere")
            self.end_headers()
            self.wfile.write(text)


def violations(event: dict[str, Any]) -> list[str]:
    """What the client of this event could not use."""
    if event["eventType"] not in TYPES:
        return [f"type {event['eventType']}"]
    data = event["data"]
    items = data.get("analytics")
    if not isinstance(items, list) or not 1 <= len(items) <= 50:
        return ["analytics must be 1 to 50 items"]
    rules = {
        "count": data.get("count") == len(items),
        "batchIndex": 1 <= data.get("batchIndex", 0) <= data.get("totalBatches", 0),
        "totalCount": data.get("totalCount", 0) >= len(items),
        "isBatch": data.get("isBatch") is True,
        "userId": data.get("userId") == event["userId"],
        "documentId": bool(data.get("documentId")),
        "timestamp": _is_date(data.get("timestamp")),
        "keys": len({(item.get("metricType"), item.get("timeRange")) for item in items}) == len(items),
    }
    return [name for name, holds in rules.items() if not holds] + [
        f"{item.get('metricType')} {item.get('timeRange')}: {fault}"
        for item in items
        for fault in _faults(item)
    ]


def _faults(item: dict[str, Any]) -> list[str]:
    """The model's rules for one analytics document."""
    metric, values = item.get("metricType"), item.get("analytics") or {}
    average, details = values.get("rollingAverage"), values.get("anomalyDetails")
    statistics, comparison = values.get("statistics") or {}, values.get("comparisonToPrevious") or {}
    low, high = (20, 500) if metric == "weight" else (0, AVERAGES.get(str(metric), math.inf))
    rules = {
        "metricType": metric in METRICS,
        "timeRange": item.get("timeRange") in PERIODS,
        "period": item.get("period") == PERIODS.get(str(item.get("timeRange"))),
        "operationType": item.get("operationType") in OPERATIONS,
        "calculatedAt": _is_date(item.get("calculatedAt")),
        "rollingAverage": _within(average, low, high),
        "trend": values.get("trend") in {"up", "down", "stable"},
        "trendPercentage": _within(values.get("trendPercentage"), -100, 1000),
        "streakDays": _within(values.get("streakDays"), 0, 3650),
        "percentile": _within(values.get("percentile"), 0, 100),
        "completenessPercentage": _within(statistics.get("completenessPercentage"), 0, 100),
        "anomalyDetected": isinstance(values.get("anomalyDetected"), bool),
        "anomalyDetails": not values.get("anomalyDetected") or _is_anomaly(details),
        "percentageChange": _within(comparison.get("percentageChange"), -100, 1_000_000),
        # Its presence lights the badge "Spark Analytics Active"; the other one would be counted twice.
        "top-level rollingAverage": item.get("rollingAverage") == average,
        "top-level anomalyDetected": "anomalyDetected" not in item,
        "historicalData": item.get("timeRange") != "7day" or _is_sparkline(item.get("historicalData")),
    }
    return [name for name, holds in rules.items() if not holds]


def _is_anomaly(details: Any) -> bool:
    return (
        isinstance(details, dict)
        and details.get("severity") in {"low", "medium", "high"}
        and all(_within(details.get(name)) for name in ("actualValue", "expectedValue", "deviation"))
        and 0 < len(details.get("message", "")) <= 500
        and _is_date(details.get("detectedAt"))
    )


def _is_sparkline(history: Any) -> bool:
    """The range's days with a value, the oldest first."""
    if not isinstance(history, list) or not 1 <= len(history) <= 7:
        return False
    days = [point.get("date") for point in history]
    return (
        all(map(_is_date, days))
        and days == sorted(set(days))
        and all(_within(point.get("value")) for point in history)
    )


def _within(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return False
    return datetime.fromisoformat(value.replace("Z", "+00:00")) is not None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
