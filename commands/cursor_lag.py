"""What `checkpoint show` says beside the cursor: its age, and what has changed since and waits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from contracts import ServiceError
from contracts.health import SOURCE_COLLECTION
from monitoring.console import counted, lasted

if TYPE_CHECKING:
    from checkpoint.store import CursorState
    from settings import Settings

# The cursor itself needs no server, and is not to wait for one.
_PATIENCE_SECONDS = 3.0
_OF_WAITING = ("waiting_documents", "waiting_users", "waiting_is_all", "oldest_waiting", "lag_seconds")


def lag_of(settings: Settings, state: CursorState) -> tuple[dict[str, Any], str]:
    """Return the age of `state` and what waits behind it, as fields and as a sentence.

    The fields about what waits are None where MongoDB cannot tell them.
    """
    from pymongo.errors import PyMongoError

    from commands.common import mongo_fault

    age_seconds = _seconds(state.timestamp, datetime.now(timezone.utc))
    facts: dict[str, Any] = {"age_seconds": age_seconds, **dict.fromkeys(_OF_WAITING)}
    try:
        waiting, why = _waiting(settings, state.timestamp), "updatedAt has no index to count it by"
    except PyMongoError as error:
        waiting, why = {}, mongo_fault(error)
    except ServiceError as error:
        waiting, why = {}, str(error)
    facts |= waiting
    age = "A first run begins there" if state.origin == "default" else f"{lasted(facts['age_seconds'])} old"
    return facts, f"{age}; {_sentence(facts) if waiting else f'what waits is not known: {why}'}"


def _waiting(settings: Settings, cursor: datetime) -> dict[str, Any]:
    """What changed after `cursor`, and how long ago the oldest of it did; nothing without an index."""
    from sources.health.inspection import count_changes, has_index_on
    from sources.mongo_client import ServerClock, connect

    seconds = min(settings.mongo_timeout_seconds, _PATIENCE_SECONDS)
    client = connect(settings.mongo_uri.get_secret_value(), round(seconds * 1000))
    source = client[settings.mongo_db_name][SOURCE_COLLECTION]
    now = ServerClock(client).now()
    if not has_index_on(source, "updatedAt"):
        return {}
    changes = count_changes(source, cursor, now)
    return {
        "age_seconds": _seconds(cursor, now),
        "waiting_documents": changes.documents,
        "waiting_users": changes.users,
        "waiting_is_all": changes.complete,
        "oldest_waiting": changes.oldest,
        "lag_seconds": _seconds(changes.oldest, now) if changes.oldest else 0,
    }


def _sentence(facts: Mapping[str, Any]) -> str:
    if not facts["waiting_documents"]:
        return "nothing waits."
    least = "" if facts["waiting_is_all"] else "at least "
    what, whose = counted(facts["waiting_documents"], "document"), counted(facts["waiting_users"], "user")
    return f"{least}{what} of {least}{whose} changed since, the oldest {lasted(facts['lag_seconds'])} ago."


def _seconds(moment: datetime, now: datetime) -> int:
    return max(0, round((now - moment).total_seconds()))
