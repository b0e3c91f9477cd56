"""Checks of the backend's documents: those that the poll cannot see or that cannot count, and their dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from analytics.health.midnights import look_at_midnights
from analytics.health.validation import count_left_out
from commands.checks.database import Database
from commands.checks.result import CheckResult, ok, warning
from contracts.health import is_unknown_source
from sources.health.census import KINDS, Unseen, look_ahead, take_census
from sources.health.inspection import has_index_on
from sources.health.owners import odd_owners
from sources.health.sample import dates_of, newest_changes
from told import told

_CENSUS_SECONDS = 2.0
_DATE_THEM = (
    "Undated documents do not count: have the backend write them again, or set their updatedAt to now."
)
_WAIT = "What is dated ahead waits for its time: correct it, and the clock of the host that wrote it."
# From here on people see that their results are late.
_AHEAD_SECONDS = 60.0
# This share of a sample may be odd without a warning: old documents stay as they are.
_SHARE = 0.01
_SHOWN = 5
_USERS = 20


def unseen_documents(database: Database) -> CheckResult:
    """Check for documents that the poll cannot see, and for those dated more than a day ahead."""
    name = "Unseen documents"
    census = take_census(database.source, database.now(), seconds=_CENSUS_SECONDS, target=database.target)
    found = [kind for kind in census if kind.count or not kind.complete]
    if not found:
        return ok(name, "none: every updatedAt is a date that can be right")
    known = {"too_early": _too_early(), "far_future": _WAIT}
    remedies = dict.fromkeys(known.get(kind.kind, _DATE_THEM) for kind in found)
    return warning(name, "\n".join(map(_counted, found)), " ".join(remedies))


def _too_early() -> str:
    return (
        "What is dated too early lies behind the cursor and is never polled: correct the writer (it sends a "
        f"zero, or its clock is wrong), then set updatedAt to now, or {_full()}."
    )


def _full() -> str:
    return f"run `{told('batch --full')}` once"


def _counted(kind: Unseen) -> str:
    examples = f" (_id {', '.join(kind.examples)})" if kind.examples else ""
    return f"{kind.count}{'' if kind.complete else ' or more'}: {KINDS[kind.kind]}{examples}"


def writers_clocks(database: Database) -> CheckResult:
    """Check for documents that wait because they are dated up to a day ahead."""
    name = "Clocks of writers"
    ahead = look_ahead(database.source, database.now())
    if ahead.seconds <= _AHEAD_SECONDS:
        return ok(name, "no document is dated more than a minute ahead of the server")
    hours, minutes = ahead.seconds / 3600, ahead.seconds / 60
    more = "" if ahead.complete else " or more"
    return warning(
        name,
        f"{ahead.count}{more} documents are dated ahead, the farthest by "
        f"{f'{hours:.1f} hours' if hours >= 1 else f'{minutes:.0f} minutes'}: each waits until then",
        "Correct the clock of the host that writes them (NTP), or its time zone: local time that is stored "
        "as UTC looks like this. Until then results are late by as much.",
    )


def sources(database: Database) -> CheckResult:
    """Check which sources count and which are left out, in a sample of the newest documents."""
    name, phones = "Sources", database.settings.sources_of_phones
    sample = newest_changes(database.source, database.now())
    left_out = count_left_out(sample, phones)
    counted = len(sample) - left_out.total()
    detail = f"of the {len(sample)} documents changed last {counted} are of {', '.join(phones)}"
    if left_out:
        kinds = [f"{count} × {reason}" for reason, count in left_out.most_common(_SHOWN)]
        more = f" and {len(left_out) - _SHOWN} other kinds" if len(left_out) > _SHOWN else ""
        detail += f"; left out: {', '.join(kinds)}{more}"
    unknown = sum(count for reason, count in left_out.items() if is_unknown_source(reason))
    if unknown <= _SHARE * len(sample) and (counted or not sample):
        return ok(name, detail)
    return warning(
        name,
        detail,
        f"If these are phones, add their names to PHONE_SOURCES (now {','.join(phones)}) and {_full()}.",
    )


def user_ids(database: Database) -> CheckResult:
    """Check for documents whose userId is no ObjectId."""
    name = "User ids"
    found = odd_owners(database.source)
    if not found:
        return ok(name, "every userId is an ObjectId")
    lines = [
        f"{each.count}{'' if each.complete else ' or more'}: userId is {each.what}"
        + (f", for example {each.examples[0]}" if each.examples else "")
        for each in found
    ]
    collection = database.source.name
    return warning(
        name,
        "\n".join(lines),
        "No results are computed from them. Have the writer store an ObjectId; text of 24 hexadecimal digits "
        f'becomes one by mongosh: db.{collection}.updateMany({{userId: {{$type: "string"}}}}, '
        '[{$set: {userId: {$toObjectId: "$userId"}, updatedAt: "$$NOW"}}])',
    )


def local_days(database: Database) -> CheckResult:
    """Check that dates are midnights; name the time zone in which they are if not in the one that is set."""
    name, zone = "Days", database.settings.analytics_timezone
    found = look_at_midnights(_dates(database), zone)
    named = sum(count for _, count in found.zones)
    if named <= _SHARE * found.dates:
        within = f"; {found.odd} are moments within a day of {zone}" if found.odd else ""
        return ok(name, f"{found.dates - found.odd} of {found.dates} dates looked at are midnights{within}")
    would_be = ", ".join(f"{count} in {names}" for names, count in found.zones)
    return warning(
        name,
        f"{found.odd / found.dates:.0%} of {found.dates} dates looked at are no midnight in "
        f"ANALYTICS_TIMEZONE={zone}, but would be elsewhere: {would_be}. They count for another day.",
        f"Set ANALYTICS_TIMEZONE={found.zones[0][0].partition(' ')[0]} and {_full()}.",
    )


def _dates(database: Database) -> Sequence[Any]:
    """Read the dates of some users' last year, so that both halves of a zone with summer time are in it."""
    sample = newest_changes(database.source, database.now())
    users = list(dict.fromkeys(each["userId"] for each in sample if isinstance(each.get("userId"), ObjectId)))
    if not has_index_on(database.source, "userId"):
        users = []
    dated = [date for each in sample if isinstance(date := each.get("date"), datetime)]
    return [*dates_of(database.source, users[:_USERS]), *dated]
