"""What the page on which a demo is struck is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Blow:
    """What was done, when, and after how many seconds all that had been sent by then was accounted for."""

    at: datetime
    what: str
    caught_up_seconds: float | None


@dataclass(frozen=True)
class Look:
    """Records by end: `sent` what the sender means to become of them, `found` what the `store` has.

    `found` is None before the store has answered; of its `rows` it must have `due`, by its own word of what
    was written; `rows_are` what people call these. `starts` counts those of the pipeline as a process: 0
    while it runs inside the dashboard, which it is to leave when it `is_wanted`.
    """

    store: str
    sent: Mapping[str, int]
    found: Mapping[str, int] | None
    rows: int
    due: int
    rows_are: str
    starts: int
    is_wanted: bool
    is_alive: bool
    store_is_up: bool
    is_paused: bool
    blows: Sequence[Blow]
