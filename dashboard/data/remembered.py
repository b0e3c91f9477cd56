"""Keeps the last values while reading them again fails, so that a page shows old figures with their age."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

# Bounds the memory of a dashboard that shows one user after the other for months.
_MAX_ENTRIES = 200
# A server that is away costs its time-out once in this span of seconds, not once for each part of each page.
_RETRY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """A value with the moment it was read; `fault` says in one sentence why it is not newer.

    `value` and `as_of` are None when nothing could be read yet.
    """

    value: T | None
    as_of: datetime | None
    fault: str | None = None


@dataclass(slots=True)
class _Entry:
    value: Any
    as_of: datetime
    read_at: float


class Remembered:
    """Reads through a cache; one reader at a time, so that many open pages ask a server once."""

    def __init__(
        self,
        explain: Callable[[Exception], str],
        expected: tuple[type[Exception], ...],
    ) -> None:
        """`expected` errors become the sentence that `explain` makes of them; others are raised."""
        self._explain = explain
        self._expected = expected
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._fault: str | None = None
        self._failed_at = 0.0
        self._lock = threading.Lock()

    def get(self, key: str, read: Callable[[], T], max_age_seconds: float) -> Loaded[T]:
        """The value of `key`: the kept one up to `max_age_seconds`, else a new one, else the kept one."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._fault is None and self._is_fresh(entry, max_age_seconds):
                return Loaded(cast(T, entry.value), entry.as_of)
            if self._fault is None or time.monotonic() - self._failed_at >= _RETRY_AFTER_SECONDS:
                entry = self._read(key, read) or entry
            if entry is None:
                return Loaded(None, None, self._fault)
            return Loaded(cast(T, entry.value), entry.as_of, self._fault)

    def _is_fresh(self, entry: _Entry, max_age_seconds: float) -> bool:
        return time.monotonic() - entry.read_at < max_age_seconds

    def _read(self, key: str, read: Callable[[], Any]) -> _Entry | None:
        started, as_of = time.monotonic(), datetime.now(timezone.utc)
        try:
            value = read()
        except self._expected as error:
            self._fault, self._failed_at = self._explain(error), time.monotonic()
            return None
        self._fault = None
        entry = _Entry(value, as_of, started)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > _MAX_ENTRIES:
            self._entries.popitem(last=False)
        return entry
