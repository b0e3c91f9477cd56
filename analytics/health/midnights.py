"""The time zones in which given dates are midnights: for writers that store local days."""

from __future__ import annotations

import zoneinfo
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

# Many zones behave alike for the dates given; these are the names that people know.
_KNOWN: Final = (
    "Europe/London", "Europe/Berlin", "Europe/Athens", "Europe/Moscow", "Europe/Istanbul", "Europe/Lisbon",
    "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Asia/Dubai", "Asia/Karachi", "Asia/Dhaka",
    "Asia/Bangkok", "Asia/Jakarta", "Asia/Kathmandu", "Asia/Tehran", "Asia/Seoul", "Asia/Singapore",
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Sao_Paulo", "America/Mexico_City", "America/Bogota", "America/Halifax", "America/St_Johns",
    "America/Toronto", "America/Argentina/Buenos_Aires", "Pacific/Honolulu", "Pacific/Auckland",
    "Australia/Sydney", "Australia/Brisbane", "Australia/Adelaide", "Australia/Perth", "Africa/Lagos",
    "Africa/Johannesburg", "Africa/Cairo", "Africa/Nairobi",
)  # fmt: skip
# Old names, and those that are no place.
_OTHER_NAMES: Final = ("Etc/", "SystemV/", "US/", "Canada/", "Mexico/", "Brazil/", "Chile/")
# At most this many distinct dates are looked at; each zone is tried on each.
_AT_MOST: Final = 600
_MOST_ZONES: Final = 3
# A zone must explain this share of the odd dates, or they are no local midnights at all.
_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Midnights:
    """The result of a look at `dates` dates: `odd` of them are midnight neither in UTC nor in the zone set.

    `zones` counts for each zone the odd dates that are midnights there, the most first.
    """

    dates: int
    odd: int
    zones: tuple[tuple[str, int], ...]


def look_at_midnights(dates: Iterable[datetime], zone: str) -> Midnights:
    """Judge `dates` (aware) by the IANA name that is set."""
    counted = Counter(date.astimezone(timezone.utc) for date in dates)
    here = zoneinfo.ZoneInfo(zone)
    known = (timezone.utc, here)
    odd = Counter({date: n for date, n in counted.items() if not any(_is_midnight(date, z) for z in known)})
    return Midnights(counted.total(), odd.total(), tuple(_zones(odd, counted)))


def _zones(odd: Counter[datetime], every: Counter[datetime]) -> Iterable[tuple[str, int]]:
    """The fewest zones that explain most of the odd dates, greedily."""
    left = Counter(dict(odd.most_common(_AT_MOST)))
    beside = [date for date, _ in every.most_common(_AT_MOST) if date not in odd]
    names = [*_KNOWN, *sorted(filter(_is_place, zoneinfo.available_timezones()), key=len, reverse=True)]
    enough = max(1, left.total() * _SHARE)
    for _ in range(_MOST_ZONES):
        best: list[str] = []
        most = (0, 0)
        for name in dict.fromkeys(names):
            zone = _zone(name)
            explained = sum(count for date, count in left.items() if zone and _is_midnight(date, zone))
            if not zone or explained < max(enough, most[0]):
                continue
            # Of a zone with summer time half the midnights may be midnights of UTC too.
            found = explained, sum(every[date] for date in beside if _is_midnight(date, zone))
            if found > most:
                most, best = found, []
            if found == most:
                best.append(name)
        if not best:
            return
        yield best[0] + (" (or a zone like it)" if best[1:] else ""), most[0]
        known = _zone(best[0])
        left = Counter({date: n for date, n in left.items() if known and not _is_midnight(date, known)})


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(_OTHER_NAMES)


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _is_midnight(moment: datetime, zone: zoneinfo.ZoneInfo | timezone) -> bool:
    """Whether a day of `zone` begins at `moment`: at one o'clock where clocks are set forward at midnight."""
    try:
        local = moment.astimezone(zone)
        if local.minute or local.second or local.microsecond or local.hour > 1:
            return False
        return local.hour == 0 or (moment - timedelta(microseconds=1)).astimezone(zone).day != local.day
    except OverflowError:  # it leaves the years 1 to 9999 there
        return False
