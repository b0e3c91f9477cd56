"""What must hold of the health pipeline's sink, cursor and dead letters, judged without its own code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId, json_util
from bson.codec_options import DatetimeConversion
from bson.json_util import JSONOptions
from pymongo.database import Database

from tests.chaos.journal import Journal
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.reference_input import LIMITS, calendar_day, is_phone, usable_value

Document = dict[str, Any]
_LETTER_JSON = JSONOptions(
    tz_aware=True, tzinfo=timezone.utc, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
CURSOR_FILE = Path("spark-checkpoints") / "last_processed_timestamp.txt"


def read_cursor(folder: Path) -> datetime | None:
    """The job's cursor; None before the first. Saving replaces the file, so it is always whole."""
    try:
        text = (folder / CURSOR_FILE).read_text()
    except FileNotFoundError:
        return None
    return datetime.fromisoformat(text.strip().replace("Z", "+00:00"))


def check_sink(database: Database[Document], users: Iterable[ObjectId] | None = None) -> None:
    """The analytics (of `users` only, if given) equal the reference's. Raises AssertionError."""
    condition = {} if users is None else {"userId": {"$in": list(users)}}
    # Anomalies and averages of a chosen user do not depend on other users.
    expected = reference_analytics(list(database["healthmetrics"].find(condition)), "UTC", _today())
    assert expected or users is not None, "a comparison with nothing proves nothing"
    assert_same_analytics(list(database["analytics"].find(condition)), expected)


def check_reflected(database: Database[Document], journal: Journal, cursor: datetime) -> None:
    """While the job runs: each version that the cursor claims was there when its user was last computed.

    A recomputation replaces or removes all of a user's documents, so the oldest of them tells its time.
    """
    claimed = journal.claimed(cursor)
    oldest: dict[ObjectId, datetime] = {}
    for document in database["analytics"].find({}, {"userId": 1, "calculatedAt": 1}):
        user, moment = document["userId"], document["calculatedAt"]
        oldest[user] = min(moment, oldest.get(user, moment))
    ahead = [
        f"user {user}: written at {began}, computed at {oldest[user]}"
        for user, began in claimed.items()
        if user in oldest and oldest[user] < began
    ]
    assert not ahead, f"the cursor {cursor} is ahead of the sink:\n" + "\n".join(ahead)


def check_letters(database: Database[Document], folder: Path) -> None:
    """The dead-letter queue holds what is bad in the source, all of it and nothing else."""
    letters = [
        json_util.loads(path.read_text(), json_options=_LETTER_JSON)
        for path in (folder / "dlq").glob("analytics_dlq_*.json")
    ]
    innocent = [
        letter
        for letter in letters
        # Of some there is only text.
        if "text" not in letter["record"] and letter["field"] not in bad_fields(letter["record"])
    ]
    assert not innocent, f"dead letters of what is not bad: {innocent}"
    versions = Counter(
        (letter["record"]["_id"], letter["field"], letter["record"]["updatedAt"]) for letter in letters
    )
    assert all(count == 1 for count in versions.values()), f"doubled dead letters: {versions}"
    found = {(letter["record"]["_id"], letter["field"]) for letter in letters}
    expected = {
        (document["_id"], field)
        for document in database["healthmetrics"].find()
        for field in bad_fields(document)
    }
    assert found == expected, (
        f"missing letters: {expected - found}; letters of mended ones: {found - expected}"
    )


def bad_fields(document: Document) -> set[str | None]:
    """What of a polled document must lie in the dead-letter queue: fields, or None for the whole document."""
    user, updated, day = document.get("userId"), document.get("updatedAt"), document.get("date")
    if user is None or not isinstance(updated, datetime):
        return set()  # ignored, and never polled
    if not isinstance(user, ObjectId) or not isinstance(day, datetime):
        return {None}
    place = calendar_day(day, "UTC")
    if place is None or place > _today() + timedelta(days=1):
        return {None}
    metrics = document.get("metrics")
    nested = metrics if isinstance(metrics, dict) else {}
    if not is_phone(document, nested):
        return set()
    if metrics is not None and not isinstance(metrics, dict):
        return {"metrics"}
    return {
        f"metrics.{name}"
        for name, limits in LIMITS.items()
        if nested.get(name) is not None and usable_value(nested[name], limits) is None
    }


def _today() -> Any:
    return datetime.now(timezone.utc).date()
