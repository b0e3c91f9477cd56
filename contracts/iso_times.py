"""Times as ISO 8601 texts: how this program writes those with a Z, and reads both kinds of offset."""

from __future__ import annotations

from datetime import datetime, timezone


def read_time(text: str) -> datetime:
    """The time that `text` says, as Python 3.10 cannot read it where it ends with Z.

    Raises ValueError for what is none, and AttributeError or TypeError for what is no text.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def time_with_z(moment: datetime, timespec: str = "milliseconds") -> str:
    """`moment`, which is aware, in UTC as JavaScript writes it: `2026-01-31T12:00:00.000Z`."""
    # Not strftime: it writes the year 50 without its zeros, which is no date there.
    return moment.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")
