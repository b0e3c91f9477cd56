"""Which documents lost their day to a later one of the same user, in a few bytes each."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from contracts import Document

# About 40 MB. Only a backlog of many documents a day comes near it.
LIMIT = 500_000
_BYTES = 8
_STANDARD_UUID: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)


class Superseded:
    """Holds at most `limit` documents dated from `since` on that lost their day.

    Whoever reads histories fills it. A document that changed afterwards is another version, and not in here.
    """

    def __init__(self, since: datetime | None = None, limit: int = LIMIT) -> None:
        """Keep documents dated from `since` on; none when it is None."""
        self.since = since
        self._limit = limit
        self._numbers: set[int] = set()

    @property
    def is_full(self) -> bool:
        """Whether `limit` is reached, so that losers may be missing."""
        return len(self._numbers) >= self._limit

    def clear(self) -> None:
        """Forget all documents."""
        self._numbers.clear()

    def add(self, updated: datetime, identity: Any) -> None:
        """Note that the document `identity` (its `_id`), in the version `updated` (aware), lost its day."""
        if self.since is not None and updated >= self.since and not self.is_full:
            self._numbers.add(_number(updated, identity))

    @property
    def count(self) -> int:
        """The number of documents that are held."""
        return len(self._numbers)

    def __contains__(self, document: Document) -> bool:
        """Whether this version of `document` lost its day; its `updatedAt` must be a date."""
        return bool(self._numbers) and _number(document["updatedAt"], document.get("_id")) in self._numbers

    def packed(self) -> bytes:
        """Returns the content as bytes, for `unpack` in another process."""
        return b"".join(number.to_bytes(_BYTES, "big") for number in self._numbers)

    def unpack(self, packed: bytes) -> None:
        """Add what another process packed."""
        room = max(0, self._limit - len(self._numbers))
        for start in range(0, min(len(packed), room * _BYTES), _BYTES):
            self._numbers.add(int.from_bytes(packed[start : start + _BYTES], "big"))


def _number(updated: datetime, identity: Any) -> int:
    """A number for a version, the same in every process, as distinct as BSON is: in Python True equals 1."""
    moment = updated if updated.tzinfo else updated.replace(tzinfo=timezone.utc)
    content = bson.encode({"_id": identity, "at": moment}, codec_options=_STANDARD_UUID)
    return int.from_bytes(hashlib.blake2b(content, digest_size=_BYTES).digest(), "big")
