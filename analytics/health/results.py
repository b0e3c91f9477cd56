"""The results of one calculation: told apart by hashes, and made into documents only where they are written.

Of a user's 24 results an ordinary change leaves many as they are. Whether one is equal to what is stored is
told by a hash of its row, which costs a fiftieth of the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bson.objectid import ObjectId

from analytics.health.basis import Basis
from analytics.health.documents import CONTENT_VERSION, build_document
from analytics.health.schemas import RESULT_SCHEMA
from contracts.health import ResultKey

_USER, _DAYS, _VALUES = "user", "history_days", "history_values"
_WORDS: Final = [field.name for field in RESULT_SCHEMA if pa.types.is_string(field.type)]
_NUMBERS: Final = [
    name for name in RESULT_SCHEMA.names if name not in {_USER, _DAYS, _VALUES} and name not in _WORDS
]
_HASH_BYTES: Final = 16
# Of each user one result of this range has the basis: were it in all, none would stay as it is.
_HOLDERS_RANGE: Final = "7day"


class CalculatedResults:
    """The rows of `result` (RESULT_SCHEMA) as contracts.health.Results.

    `users[row.user]` is the row's userId; each document gets a copy of `metadata`, with its hash and
    `pasts[row.user]`, if any, and one of each user has what `bases` says of him. Documents share nothing that
    is changed by writing them.
    """

    def __init__(
        self,
        result: pa.Table,
        users: Sequence[ObjectId],
        calculated_at: datetime,
        metadata: Mapping[str, Any],
        pasts: Sequence[Mapping[str, Any] | None] = (),
        bases: Mapping[ObjectId, Basis] = MappingProxyType({}),
    ) -> None:
        self._calculated_at, self._metadata = calculated_at, metadata
        self._pasts = dict(zip(users, pasts, strict=False))
        self._bases = bases
        self._columns = {name: result.column(name).to_pylist() for name in (*_WORDS, *_NUMBERS)}
        owners = [users[number] for number in result.column(_USER).to_pylist()]
        self.keys: list[ResultKey] = list(
            zip(owners, self._columns["range"], self._columns["metric"], strict=True)
        )
        self._ends, self._days, self._values = _by_day(result)
        self.hashes = self._hashed(result)

    def documents(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Build the documents of `rows`, without createdAt and updatedAt."""
        return [self._document(row) for row in rows]

    def _document(self, row: int) -> dict[str, Any]:
        values = {name: column[row] for name, column in self._columns.items()}
        mine = slice(self._ends[row], self._ends[row + 1])
        history = zip(self._days[mine].tolist(), self._values[mine].tolist(), strict=True)
        user = self.keys[row][0]
        metadata = {**self._metadata, "contentHash": self.hashes[row]}
        if past := self._pasts.get(user):
            metadata["past"] = past
        if basis := self._basis(row):
            metadata["basis"] = basis
        return build_document(values, user, history, self._calculated_at, metadata)

    def _basis(self, row: int) -> dict[str, int] | None:
        """What the result of `row` tells of the documents, if it is the one that does."""
        user, time_range, metric = self.keys[row]
        basis = self._bases.get(user) if time_range == _HOLDERS_RANGE else None
        return basis.stored() if basis and basis.holder == metric else None

    def _hashed(self, result: pa.Table) -> list[str]:
        """Hashes of the rows, the same wherever they are computed; null is NaN, which no result has."""
        made_by = f"{CONTENT_VERSION} {sorted(self._metadata)}".encode()
        columns = [pc.cast(result.column(name), pa.float64()).to_numpy() for name in _NUMBERS]
        numbers = np.column_stack(columns).astype("<f8").tobytes()
        size = 8 * len(_NUMBERS)
        words = zip(*(self._columns[name] for name in _WORDS), strict=True)
        days, values = self._days.astype("<i4").tobytes(), self._values.astype("<f8").tobytes()
        hashes = []
        for row, (key, text) in enumerate(zip(self.keys, words, strict=True)):
            start, end = self._ends[row], self._ends[row + 1]
            content = (
                made_by,
                key[0].binary,
                repr((self._pasts.get(key[0]), self._basis(row))).encode(),
                repr(text).encode(),
                numbers[row * size : (row + 1) * size],
                days[4 * start : 4 * end],
                values[8 * start : 8 * end],
            )
            hashes.append(blake2b(b"".join(content), digest_size=_HASH_BYTES).hexdigest())
        return hashes


def _by_day(result: pa.Table) -> tuple[list[int], Any, Any]:
    """The days and values of all rows one after the other, sorted within each row; and where rows end.

    Row n has those from end n to end n + 1. Spark collects both lists of a row in the same order, but in any.
    """
    days = result.column(_DAYS)
    counts = pc.list_value_length(days).to_numpy()
    flat = [pc.list_flatten(column).to_numpy() for column in (days, result.column(_VALUES))]
    order = np.lexsort((flat[0], np.repeat(np.arange(len(counts)), counts)))
    ends = [0, *np.cumsum(counts).tolist()]
    return ends, flat[0][order], flat[1][order]
