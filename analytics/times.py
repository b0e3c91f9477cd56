"""ISO 8601 as every pipeline reads it, in Python and as Spark SQL: one grammar, one meaning.

`2026-01-31`, or with a time: `T`, `t` or a space, then hours and minutes, then perhaps seconds with a
fraction of any length behind a point or a comma, then perhaps `Z`, `z`, `±hh`, `±hhmm` or `±hh:mm` up to 18
hours. A date alone is its midnight; without an offset it is UTC; what is shorter than a microsecond is cut
off; 24:00 is the next day's midnight, and a second 60 the next minute's first. Nothing else is a time: no
number, no name of a zone, no basic format (`20260131T1430`), no year outside 1 to 9999.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from analytics.texts import let, trimmed, trimmed_sql

_DATE, _CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
_OFFSET = "[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?)"
# `[0-9]`, because `\d` also takes digits of other scripts.
_GRAMMAR = f"({_DATE})(?:[Tt ]({_CLOCK})(?::([0-9]{{2}})(?:[.,]([0-9]+))?)?([Zz]|{_OFFSET})?)?"
_TIME = re.compile(_GRAMMAR)
# What Spark's cast reads alike, so most texts need no more than this; years that an offset may carry out of
# the calendar do. A class of characters is looked up at once, one of ranges is not.
_USUAL = (
    r"^(?!0000|0001-01-01|9999-12-31)#{4}-#{2}-#{2}"
    r"(?:[T ]#{2}:#{2}:#{2}(?:[.]#{1,9})?(?:Z|[+-]#{2}(?::#{2})?)?)?\\z"
).replace("#", "[0123456789]")
_YEARS = "TIMESTAMP '0001-01-01 00:00:00Z' AND TIMESTAMP '9999-12-31 23:59:59.999999Z'"
# The rest of the grammar, of a trimmed text `t` that matches it: its parts `p`, then the moment `m`.
_PARTS = (
    "named_struct('clock', IF(length(t) > 10, substr(t, 12, 5), '00:00'),"
    " 'seconds', IF(substr(t, 17, 1) = ':', substr(t, 18, 2), '00'),"
    " 'fraction', regexp_extract(t, '[.,]([0-9]+)', 1),"
    " 'offset', regexp_extract(t, '^.{16,}?([Zz+-].*)$', 1))"
)
_MOMENT = (
    "try_cast(concat(substr(t, 1, 10), 'T',"
    " IF(p.clock = '24:00' AND p.seconds = '00' AND p.fraction RLIKE '^0*$', '00:00', p.clock),"
    " ':', IF(p.seconds = '60', '59', p.seconds), '.', rpad(substr(p.fraction, 1, 6), 6, '0'),"
    " IF(p.offset IN ('', 'Z', 'z'), 'Z',"
    " concat(substr(p.offset, 1, 3), ':', IF(length(p.offset) > 3, substr(p.offset, -2), '00')))"
    ") AS TIMESTAMP) + make_dt_interval(IF(p.clock = '24:00', 1, 0), 0, 0, IF(p.seconds = '60', 1, 0))"
)
_OTHER = (
    f"IF(t RLIKE '^(?:{_GRAMMAR})$', "
    f"{let(_PARTS, 'p', let(_MOMENT, 'm', f'IF(m BETWEEN {_YEARS}, m, NULL)'))}, NULL)"
)


def read_time(text: str) -> datetime | None:
    """The moment that a text tells, UTC, None when it tells none."""
    matched = _TIME.fullmatch(trimmed(text))
    if matched is None:
        return None
    date, clock, seconds, fraction, offset = matched.groups()
    clock, seconds, fraction = clock or "00:00", seconds or "00", fraction or "0"
    more = timedelta()
    if clock == "24:00" and seconds == "00" and not fraction.strip("0"):
        clock, more = "00:00", timedelta(days=1)
    if seconds == "60":
        seconds, more = "59", timedelta(seconds=1)
    zone = "+00:00"
    if offset not in (None, "Z", "z"):
        zone = f"{offset[:3]}:{offset[-2:] if len(offset) > 3 else '00'}"
    try:
        found = datetime.fromisoformat(f"{date}T{clock}:{seconds}.{fraction[:6]:0<6}{zone}")
        return found.astimezone(timezone.utc) + more
    except (ValueError, OverflowError):
        return None


def time_sql(text: str) -> str:
    """`read_time` of a SQL text, as a TIMESTAMP."""
    return (
        f"coalesce({usual_time_sql(text)}, IF({text} IS NULL, NULL, {let(trimmed_sql(text), 't', _OTHER)}))"
    )


def usual_time_sql(text: str) -> str:
    """`time_sql` of a text in one of the usual forms, NULL of any other."""
    return f"IF({text} RLIKE '{_USUAL}', try_cast({text} AS TIMESTAMP), NULL)"
