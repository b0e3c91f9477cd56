"""The days of some users, all or the last ones, projected to the fields of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts.plain_documents import Rows
from mongo_patience import while_it_answers
from sources.health.layouts import Layouts
from sources.health.replies import decoded, read_documents, read_rows

_MAX_USERS_PER_QUERY = 100
# A reply ends at 16 MB anyway; a small batch size would cost a round trip per 101 documents at first.
_BATCH_SIZE = 20_000


def read_history(
    collection: Collection[dict[str, Any]],
    user_ids: Sequence[ObjectId],
    chunk: int = _MAX_USERS_PER_QUERY,
) -> Iterator[dict[str, Any]]:
    """Every document of `user_ids`, in no particular order, by the index on userId.

    At most `chunk` users (never more than 100) are asked for at once. What changes while it is read comes old
    or new; the poll sees the change afterwards. pymongo's errors pass through.
    """
    for condition in _conditions(user_ids, chunk):
        yield from read_documents(collection, condition, batch_size=_BATCH_SIZE)


def read_history_rows(
    collection: Collection[dict[str, Any]],
    user_ids: Sequence[ObjectId],
    since: Sequence[datetime | None] = (),
) -> Iterator[Rows | dict[str, Any]]:
    """The same: plain documents as rows of their layout, which cost a tenth, the others decoded.

    `since` has for each user the first date that is read, if any.
    """
    layouts = Layouts(decoded)
    for condition in _conditions(user_ids, _MAX_USERS_PER_QUERY, since):
        yield from read_rows(collection, condition, layouts, batch_size=_BATCH_SIZE)


def _conditions(
    user_ids: Sequence[ObjectId], chunk: int, since: Sequence[datetime | None] = ()
) -> Iterator[dict[str, Any]]:
    if chunk < 1:
        raise ValueError("chunk must be at least 1")
    step = min(chunk, _MAX_USERS_PER_QUERY)
    alike: dict[datetime | None, list[ObjectId]] = {}
    for user, first in zip(user_ids, since or [None] * len(user_ids), strict=True):
        alike.setdefault(first, []).append(user)
    for first, users in alike.items():
        dated = {} if first is None else {"date": {"$gte": first}}
        for start in range(0, len(users), step):
            yield {"userId": {"$in": users[start : start + step]}, **dated}


def all_user_ids(
    collection: Collection[dict[str, Any]], give_up: Callable[[], bool] = lambda: False
) -> Iterator[ObjectId]:
    """Every distinct userId of type ObjectId, sorted. Raises UnavailableError once `give_up` says so.

    pymongo's errors pass through.
    """
    pipeline: list[dict[str, Any]] = [
        {"$match": {"userId": {"$type": "objectId"}}},
        {"$group": {"_id": "$userId"}},
        {"$sort": {"_id": 1}},
    ]
    # The server answers once it has seen every document; what follows comes quickly.
    groups = while_it_answers(
        collection.database,
        lambda: collection.aggregate(pipeline, allowDiskUse=True),
        f"the users of {collection.name}",
        give_up,
    )
    with groups as found:
        for group in found:
            # `$type` also finds an array of ids, which is no user's id.
            if isinstance(group["_id"], ObjectId):
                yield group["_id"]
