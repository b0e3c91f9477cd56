"""Finds what changed since the cursor, without losing equal timestamps, late commits or mixed `_id` types.

Order never depends on comparing `_id`s: `{_id: {$gt: x}}` sees only the BSON type of x, and `min()` is
silently ignored by DocumentDB-based servers. Nor is a backlog's next page asked for in sorted order, because
those sort all that is left of it each time. A page is what a range of time holds, shortened until it fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

import bson
import pymongo
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo.collection import Collection

from mongo_patience import TOOK_TOO_LONG, while_it_answers
from sources.health.layouts import Layouts
from sources.health.overlap import Overlap
from sources.health.poll_page import Changed, Found, PollPage, Version, page_of
from sources.health.replies import cut, decoded, read_replies
from sources.mongo_client import for_reading, is_asked_for

_KEYS = {"_id": 1, "updatedAt": 1}
_ORDER = [("updatedAt", 1), ("_id", 1)]
# Keys are about 40 bytes, so a whole overlap mostly comes in one reply.
_KEYS_PER_REPLY = 50_000
_IDS_PER_QUERY = 2_500
# The next range of a backlog should fill this share of a page, and grows at most by this factor.
# A range with more than a page costs most and is shortened by as much; an empty one costs little.
_FILL = 0.9
_FACTOR = 8.0
# Of bytes a page has as many as the longest reply, or one document that is longer.
_PAGE_BYTES = 16_000_000
_MILLISECOND = timedelta(milliseconds=1)
_PRUNE_AT_LEAST = 10_000
_COUNT_LIMIT = 100_000
_COUNT_SECONDS = 5.0
_STANDARD_UUID: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
# A list of dates matches a range on dates; as a page full of them could not say where the next begins, the
# server leaves them out where the number counts. They belong to the documents a census must find.
_NO_ARRAY = {"$not": {"$type": "array"}}
_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)


class MongoPoll:
    """Delivers every version `(_id, updatedAt)` at least once, and once while this object lives.

    That holds for versions that become visible at most the overlap after their updatedAt and stay. One that
    grows reaches no farther back than what is known. Memory: about 0.2 kB for each document of the overlap.
    """

    def __init__(
        self, collection: Collection[dict[str, Any]], overlap: Overlap | float, page_size: int
    ) -> None:
        if page_size < 1:
            raise ValueError("page_size must be at least 1")
        self.overlap = overlap if isinstance(overlap, Overlap) else Overlap(overlap)
        self._collection = for_reading(collection)
        self._page_size = page_size
        self._layouts = Layouts(decoded)
        # The version last processed of each document inside the overlap.
        self._known: dict[Any, datetime] = {}
        self._floor = self._cursor = _EARLIEST
        # Up to where everything was delivered, if the versions delivered since then are known.
        self._read_to: datetime | None = None
        self._prune_at = _PRUNE_AT_LEAST

    def ensure_index(self) -> None:
        """Create the index the poll reads by, unless it is there. pymongo's errors pass through."""
        # Looking first: a user who may only read may not create an index, not even one that is there.
        if not self.has_index():
            while_it_answers(
                self._collection.database,
                lambda: self._collection.create_index(_ORDER),
                f"the poll's index of {self._collection.name}",
            )

    def has_index(self) -> bool:
        """Whether that index, or a longer one that begins like it, is there; pymongo's errors pass."""
        keys = (list(index["key"]) for index in self._collection.index_information().values())
        return any(key[: len(_ORDER)] == _ORDER for key in keys)

    def begin(self, cursor: datetime, until: datetime) -> Iterator[PollPage]:
        """One drain: the versions not yet done from cursor less overlap to until, oldest zone first.

        Pages hold 1 to `page_size` documents, and at most 16 MB unless one document is longer; an idle drain
        has no page and costs one command. Confirm each with `mark_done` once its cursor is saved; what is not
        confirmed comes again in the next drain. The page after the one handed out is already read. pymongo's
        errors pass through and end the drain.
        """
        cursor, until = _to_milliseconds(cursor), _to_milliseconds(until)
        known_from, went_back = self._floor, cursor < self._cursor
        self._cursor, self._floor = cursor, self.before(cursor)
        if not went_back:
            self._floor = max(self._floor, known_from)
        self._prune()
        waiting: PollPage | None = None
        for found in self._pages(cursor, until):
            if waiting is not None:
                yield waiting
            waiting = page_of(found, self._read_to)
        if waiting is not None:
            yield replace(waiting, complete=True)
        self._read_to = until

    def count_after(self, moment: datetime, until: datetime) -> int | None:
        """Count by the index at most 100 000 versions after `moment` up to `until`; None if that takes long.

        pymongo's other errors pass through.
        """
        condition = {"updatedAt": {"$gt": moment, "$lte": until}}
        try:
            with pymongo.timeout(_COUNT_SECONDS):
                return self._collection.count_documents(condition, limit=_COUNT_LIMIT)
        except TOOK_TOO_LONG:
            return None

    def mark_done(self, page: PollPage) -> None:
        """Remember the page's versions as processed; to be called after the cursor was saved."""
        if page.newest is not None:
            self._floor = max(self._floor, self.before(page.newest))
        for document_id, updated in page.keys_from(self._floor):
            self._known[_hashable(document_id)] = updated
        # Rebuilding costs as much as there is to keep, so it waits until that has doubled.
        if len(self._known) >= self._prune_at:
            self._prune()

    def forget(self) -> None:
        """Deliver everything after the cursor again: a person moved it."""
        self._known.clear()
        self._floor, self._read_to = _EARLIEST, None

    def _prune(self) -> None:
        self._known = {key: updated for key, updated in self._known.items() if updated >= self._floor}
        self._prune_at = max(_PRUNE_AT_LEAST, 2 * len(self._known))

    def before(self, moment: datetime) -> datetime:
        """Returns where a drain with the cursor `moment` begins to look: the overlap earlier."""
        length = self.overlap.length
        return moment - length if moment - _EARLIEST > length else _EARLIEST

    def _pages(self, cursor: datetime, until: datetime) -> Iterator[Found]:
        lower = self._floor
        changed, first = self._few_changes(cursor, lower, until)
        if changed is not None:
            yield from self._by_ids(changed, lower, until)
            return
        upper = min(cursor, until)
        unknown = self._unknown(lower, upper)
        yield from self._by_ids(unknown, lower, upper)
        yield from self._by_ranges(cursor, first, until)

    def _by_ranges(self, position: datetime, first: datetime, until: datetime) -> Iterator[Found]:
        """Yield pages of the documents dated after `position` up to `until`, in the order of time.

        The first range that is tried ends at `first`.
        """
        length = first - position
        while position < until:
            upper = _to_milliseconds(position + min(max(length, _MILLISECOND), until - position))
            page, is_whole = self._between(position, upper)
            if is_whole:
                length = self._next_length(page, position, upper)
                position = upper
                if page:
                    yield page
            elif upper - position > _MILLISECOND:
                # Where an eighth of what was found lies behind; or most is dated `upper` itself.
                length = min(page.date_behind(1 / _FACTOR), upper - _MILLISECOND) - position
            else:
                # More than a page at one moment.
                group = [(key["_id"], upper) for key in self._keys({"$eq": upper})]
                yield from self._by_ids(group, upper, upper)
                position = upper

    def _next_length(self, page: Found, position: datetime, upper: datetime) -> timedelta:
        """The length of the range after that from `position` to `upper`, by the density of its `page`."""
        length = upper - position
        if not page:
            return 2.0 * length
        share = max(len(page) / self._page_size, page.size / _PAGE_BYTES)
        # Before the oldest document may have been a gap; a few documents tell of none.
        dense = upper - page.date_behind(0) if share > 1 / _FACTOR else length
        return max(dense * min(_FACTOR, _FILL / share), length / _FACTOR**3)

    def _between(self, after: datetime, upper: datetime) -> tuple[Found, bool]:
        """What is dated after `after` up to `upper`, and whether that is all; more than a page is not."""
        limit = self._page_size + 1
        condition = {"updatedAt": {"$gt": after, "$lte": upper, **_NO_ARRAY}}
        page = Found()
        for reply in read_replies(self._collection, condition, limit=limit, batch_size=limit):
            page += Found.of(reply, self._layouts)
            if len(page) > self._page_size or (page.size > _PAGE_BYTES and len(page) > 1):
                return page, False
        return page, True

    def _few_changes(
        self, cursor: datetime, lower: datetime, until: datetime
    ) -> tuple[list[Version] | None, datetime]:
        """All versions up to `until` that were not processed, or None when they exceed a page.

        Keys only, so that the index answers alone: all that an idle poll asks. More than a page has to go
        in the order of time, because the cursor is saved after each. The second result is where an eighth of
        the new keys is behind: they are some of all, or the earliest, so it is no bad end for a first range.
        """
        if lower > until:
            return [], until
        limit = len(self._known) + self._page_size
        keys = list(self._keys({"$gte": lower, "$lte": until, **_NO_ARRAY}, limit + 1))
        changed = self._not_known(keys)
        if len(keys) <= limit and len(changed) <= self._page_size:
            return changed, until
        dates = sorted(updated for _, updated in changed if updated > cursor)
        return None, dates[int(len(dates) / _FACTOR)] if dates else until

    def _not_known(self, keys: Iterable[dict[str, Any]]) -> list[Version]:
        versions = ((key["_id"], key["updatedAt"]) for key in keys)
        return [each for each in versions if self._known.get(_hashable(each[0])) != each[1]]

    def _unknown(self, lower: datetime, upper: datetime) -> list[Version]:
        """The zone's versions that were not processed."""
        return self._not_known(self._keys({"$gte": lower, "$lte": upper})) if lower <= upper else []

    def _keys(self, condition: dict[str, Any], limit: int = 0) -> Iterator[dict[str, Any]]:
        """Keys of the documents so dated, at most `limit` of them unless it is 0."""
        query = self._collection.find({"updatedAt": condition}, _KEYS, limit=limit)
        with query.batch_size(_KEYS_PER_REPLY) as found:
            yield from _dated(found)

    def _by_ids(self, versions: list[Version], lower: datetime, upper: datetime) -> Iterator[Found]:
        """Pages of the documents with these ids that are still dated from `lower` to `upper`.

        One that was changed since its key was read is dated later now, so the scan that follows meets it.
        """
        step = min(self._page_size, _IDS_PER_QUERY)
        pieces = (versions[start : start + step] for start in range(0, len(versions), step))
        page = Found()
        for reply in chain.from_iterable(map(self._with_ids, pieces)):
            found = Found.of(reply, self._layouts).dated(lower, upper)
            if page and (len(page) + len(found) > self._page_size or page.size + found.size > _PAGE_BYTES):
                yield page
                page = Found()
            page += found
        if page:
            yield page

    def _with_ids(self, versions: list[Version]) -> Iterator[bytes]:
        ids = [document_id for document_id, _ in versions if is_asked_for(document_id)]
        if ids:
            yield from read_replies(self._collection, {"_id": {"$in": ids}}, batch_size=len(ids))
        others = [version for version in versions if not is_asked_for(version[0])]
        if others:
            # Their documents are found by their dates alone.
            wanted, dates = {_hashable(each) for each, _ in others}, {updated for _, updated in others}
            for reply in read_replies(self._collection, {"updatedAt": {"$in": list(dates)}}):
                yield from (raw for raw in cut(reply) if _hashable(Changed(raw).key[0]) in wanted)


def _dated(documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Only documents whose updatedAt is one date that Python can hold."""
    return (document for document in documents if isinstance(document.get("updatedAt"), datetime))


def _hashable(document_id: Any) -> Any:
    """A key as distinct as BSON's: in Python True equals 1, NaN does not equal itself, a dict has no hash."""
    # The types themselves: BSON's Code is a str that has no hash.
    if type(document_id) in (ObjectId, str):
        return document_id
    return bson.encode({"": document_id}, codec_options=_STANDARD_UUID)


def _to_milliseconds(moment: datetime) -> datetime:
    """Truncate `moment` to milliseconds, as the server compares it: BSON has no microseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
