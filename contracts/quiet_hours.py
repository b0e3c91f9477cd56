"""Hours of the day in which nobody is told anything: what is new then is held until their end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

_TEXT: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` by the clock on a person's wall; over midnight where `start` is later."""

    start: time
    end: time

    def contain(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether `moment` (aware) is quiet in `zone`."""
        clock = moment.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def over(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first moment from `moment` on that is not quiet in `zone`, in UTC.

        Minute by minute, because a wall clock is set forward and back, in some zones at midnight.
        """
        found = moment.astimezone(timezone.utc)
        while self.contain(found, zone):
            found = found.replace(second=0, microsecond=0) + _MINUTE
        return found


def parse(text: str) -> QuietHours | None:
    """`22:00-07:00`; None of an empty text. Raises ValueError with what is right."""
    if not text:
        return None
    found = _TEXT.fullmatch(text)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise ValueError("must be two different times of day such as 22:00-07:00, or empty")
    start, end = text.split("-")
    return QuietHours(time.fromisoformat(start), time.fromisoformat(end))
