"""What the text of a setting must be like; each function returns it, or raises ValueError."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from contracts.health import CHECKPOINT_COLLECTION, SOURCE_COLLECTION
from contracts.quiet_hours import parse


def known_zone(name: str) -> str:
    """An IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error
    return name


def seconds_or_auto(value: Any) -> Any:
    """`auto`, or whole seconds as an int; raises ValueError for anything else."""
    text = str(value).strip()
    if text == "auto":
        return text
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > 10**9:
        raise ValueError("must be auto, or a whole number of seconds from 0 to 1000000000")
    return int(text)


def source_names(value: str) -> str:
    """Names that documents have in `source`, separated by commas."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise ValueError("must be one or more names as documents have them in `source`, separated by commas")
    return ",".join(names)


def quiet_hours(value: str) -> str:
    """Two times of day, or none."""
    parse(value)
    return value


def own_collection(name: str) -> str:
    """A collection that only this service writes to."""
    # The service deletes what it did not compute itself from the collection it writes to.
    if name in (SOURCE_COLLECTION, CHECKPOINT_COLLECTION) or name.startswith("system.") or "$" in name:
        raise ValueError(
            f"{name!r} cannot hold results: choose a collection that only this service writes to"
        )
    return name
