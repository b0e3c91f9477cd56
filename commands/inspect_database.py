"""What `main.py inspect` reads of the database: facts of the whole, or one user's days and results."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.validation import DayRules, count_left_out
from commands.inspect_tables import print_overview, print_user
from commands.owner import owner_of, user_id
from commands.terminal import console, print_json
from commands.user_view import UserView, view_user
from contracts import ConfigurationError
from contracts.health import SOURCE_COLLECTION
from monitoring.progress_bar import progress
from pipelines.health.stores import connect_to, open_cursor
from settings import Settings
from sources.health.census import take_census
from sources.health.inspection import STALE, field_range, find_stale, has_index_on, newest
from sources.health.sample import newest_changes
from sources.mongo_client import ServerClock

_DAYS, _DAYS_WHEN_NARROW, _NARROW = 30, 14, 80
_NEWEST = 5
_SECONDS = 2.0

_Documents = Collection[dict[str, Any]]


def inspect_database(settings: Settings, user: str | None, as_json: bool) -> None:
    """Show the facts of the whole database, or those of `user`, as tables or as one JSON object.

    `user` is an id, or an e-mail that the backend's collection of users has.
    Raises ConfigurationError when it is neither, or has nothing in the database.
    """
    if user and "@" not in user:
        user_id(user)
    client = connect_to(settings)
    database = client[settings.mongo_db_name]
    owner = owner_of(user, database) if user else None
    source, target = database[SOURCE_COLLECTION], database[settings.analytics_collection]
    now = ServerClock(client).now()
    state = open_cursor(settings).peek(now)
    if owner:
        rules = DayRules.at(now, settings.analytics_timezone, settings.sources_of_phones)
        _show_user(source, target, owner, rules, state.timestamp, as_json)
        return
    with progress("Looking"):
        facts = overview(source, target, now, state.timestamp, settings.sources_of_phones)
    facts["cursor_origin"] = state.origin
    if as_json:
        print_json(facts)
    else:
        print_overview(facts, console())


def overview(
    source: _Documents, target: _Documents, now: datetime, cursor: datetime, phones: tuple[str, ...]
) -> dict[str, Any]:
    """The facts as they are shown and written as JSON; every read goes by an index or is left out."""
    # The backend indexes calculatedAt; without it the index that expires results tells the same, 90 days on.
    dated = "calculatedAt" if has_index_on(target, "calculatedAt") else "expiresAt"
    ranges = [field_range(source, "updatedAt"), field_range(target, dated)]
    polled = ranges[0].indexed
    sample = newest_changes(source, now) if polled else []
    unseen = take_census(source, now, seconds=_SECONDS, target=target) if polled else []
    return {
        "database": source.database.name,
        "now": now,
        "cursor": cursor,
        "collections": [asdict(each) for each in ranges],
        "staleness": asdict(find_stale(source, target, now, cursor)) if polled else None,
        "sample": {"documents": len(sample), "left_out_by_reason": count_left_out(sample, phones)},
        "unseen": [asdict(each) for each in unseen if each.count],
        "newest_documents": newest(source, "updatedAt", _NEWEST) if polled else [],
        "newest_results": newest(target, dated, _NEWEST) if ranges[1].indexed else [],
    }


def _show_user(
    source: _Documents, target: _Documents, user: ObjectId, rules: DayRules, cursor: datetime, as_json: bool
) -> None:
    screen = console()
    days = _DAYS if as_json or screen.width >= _NARROW else _DAYS_WHEN_NARROW
    view = view_user(source, target, user, rules, days, cursor)
    if not view.documents and not view.results:
        raise ConfigurationError(f"User {user} has neither health documents nor results in this database.")
    if as_json:
        print_json(_user_facts(view))
    else:
        print_user(view, screen)


def _user_facts(view: UserView) -> dict[str, Any]:
    days = [
        {"date": day, **{name: values[index] for name, values in view.values.items()}}
        for index, day in enumerate(view.days)
    ]
    return {
        "user": view.user,
        "documents": view.documents,
        "documents_by_end": dict(view.ends),
        "reasons": dict(view.reasons),
        "newest_change": view.newest_change,
        "calculated_at": view.calculated_at,
        "standing": view.standing,
        "stale": view.standing == STALE,
        "days": days,
        "results": list(view.results.values()),
    }
