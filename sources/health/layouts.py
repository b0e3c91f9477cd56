"""Sorts plain health documents into rows by their byte layouts.

Documents of one writer lie in few byte layouts. Of those with one length the first is a template: what has
the same bytes, but for the values of the contract's fields, has its layout, and these values are columns.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np

from contracts.health import WEARABLE_FIELDS
from contracts.health_metrics import METRICS, OfMetrics
from contracts.plain_documents import Bools, Decode, Integers, Layout, Rows

# BSON's types of an element, with the columns that they make.
_DOUBLE, _TEXT, _NESTED, _ID, _DATE, _NULL, _INT, _LONG = 1, 2, 3, 7, 9, 10, 16, 18
_FORMATS: Final = {_DOUBLE: "<f8", _INT: "<i4", _LONG: "<i8", _ID: "V12", _DATE: "<i8"}
_BYTES: Final = {_DOUBLE: 8, _ID: 12, _DATE: 8, _NULL: 0, _INT: 4, _LONG: 8}
_NEEDED: Final = {"_id", "userId", "date", "updatedAt"}
_NUMBER: Final = frozenset({_DOUBLE, _INT, _LONG, _NULL})
_PLAIN: Final[Mapping[str, frozenset[int]]] = {
    **dict.fromkeys(("_id", "userId"), frozenset({_ID})),
    **dict.fromkeys(("date", "updatedAt"), frozenset({_DATE})),
    "source": frozenset({_TEXT, _NULL}),
    "metrics": frozenset({_NESTED}),
    **dict.fromkeys(WEARABLE_FIELDS, _NUMBER),
}
# About the years 2 to 9998: Python holds these dates, and their days in all time zones.
_FIRST, _LAST = -62_100_000_000_000, 253_300_000_000_000
_LENGTH: Final = struct.Struct("<i")
# A template costs as much as some documents that are decoded.
_FEWEST, _LONGEST = 4, 4_096
_MOST_LAYOUTS = 64
_MOST_TRIES = 8


@OfMetrics
def _plain_metrics() -> Mapping[str, frozenset[int]]:
    return dict.fromkeys((*METRICS, *WEARABLE_FIELDS), _NUMBER)


class Layouts:
    """Sorts documents into rows of their layouts, and remembers these, a few dozens at the most."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._known: dict[int, list[Layout]] = {}
        self._count = 0

    def sort(self, reply: bytes) -> tuple[list[Rows], list[bytes]]:
        """The documents of `reply`, which lie one behind the other: as rows, and those of no plain layout."""
        if self._count >= _MOST_LAYOUTS:
            # Writers may have changed since.
            self._known, self._count = {}, 0
        starts = _starts(reply)
        lengths = np.diff(starts, append=len(reply))
        order = np.argsort(lengths, kind="stable")
        edges = np.flatnonzero(np.diff(lengths[order])) + 1
        # The last one is read in whole words.
        padded = reply + bytes(7)
        rows: list[Rows] = []
        odd: list[bytes] = []
        for group in np.split(order, edges) if len(order) else ():
            length, rest = int(lengths[group[0]]), starts[group]
            if len(group) >= _FEWEST and length <= _LONGEST:
                rest = self._sort_group(padded, rest, length, rows)
            odd += [reply[start : start + length] for start in rest.tolist()]
        return rows, odd

    def _sort_group(self, padded: bytes, starts: Integers, length: int, rows: list[Rows]) -> Integers:
        """Add documents of `length` bytes that have a layout to `rows`; returns where the others start."""
        width = -(-length // 8) * 8
        # At every byte, whether a document starts there or not: numpy copies whole records.
        records = np.ndarray((len(padded) - width + 1,), f"V{width}", padded, strides=(1,))[starts]
        known = self._known.setdefault(length, [])
        number, tries, odd = 0, 0, [starts[:0]]
        while len(starts) and tries < _MOST_TRIES:
            if number == len(known):
                layout = self._learn(records[0].tobytes(), length)
                if layout is None:
                    odd.append(starts[:1])
                    starts, records, tries = starts[1:], records[1:], tries + 1
                    continue
                known.append(layout)
            layout = known[number]
            words = records.view(np.uint64).reshape(len(records), -1)
            fits = ((words ^ layout.words) & layout.same).max(axis=1) == 0
            found = Rows(layout, records[fits], self._decode)
            dated = _within_years(found.moments("date")) & _within_years(found.moments("updatedAt"))
            if dated.any():
                rows.append(found.where(dated))
            odd.append(starts[fits][~dated])
            starts, records = starts[~fits], records[~fits]
            number += 1
        return np.concatenate([*odd, starts])

    def _learn(self, record: bytes, length: int) -> Layout | None:
        """Make a layout of a first document, unless it is not plain or there are too many."""
        places = _places(record) if self._count < _MOST_LAYOUTS else None
        if places is None:
            return None
        self._count += 1
        same = np.zeros(len(record), np.uint8)
        same[:length] = 255
        for kind, place in places.values():
            same[place : place + _BYTES[kind]] = 0
        columns = np.dtype(
            {
                "names": list(places),
                "formats": [_FORMATS[kind] for kind, _ in places.values()],
                "offsets": [place for _, place in places.values()],
                "itemsize": len(record),
            }
        )
        words, template = np.frombuffer(record, np.uint64), self._decode(record[:length])
        metrics = tuple(name for name in METRICS if f"metrics.{name}" in places)
        return Layout(length, words, same.view(np.uint64), columns, template, metrics)


def _starts(reply: bytes) -> Integers:
    starts, start, end, length_at = [], 0, len(reply), _LENGTH.unpack_from
    while start < end:
        starts.append(start)
        start += length_at(reply, start)[0]
    return np.array(starts, np.int64)


def _within_years(moments: Integers) -> Bools:
    return (moments >= _FIRST) & (moments <= _LAST)


def _places(document: bytes) -> dict[str, tuple[int, int]] | None:
    """The columns of a plain document, each with its type and place; None for another document."""
    found = _elements(document, 0, _PLAIN)
    if found is None or not found.keys() >= _NEEDED:
        return None
    metrics = _elements(document, found["metrics"][1], _plain_metrics()) if "metrics" in found else {}
    if metrics is None:
        return None
    named = {**found, **{f"metrics.{name}": element for name, element in metrics.items()}}
    return {name: element for name, element in named.items() if element[0] in _FORMATS}


def _elements(
    document: bytes, start: int, plain: Mapping[str, frozenset[int]]
) -> dict[str, tuple[int, int]] | None:
    """Type and place of each value of what is nested at `start`; None unless it is `plain`, each once."""
    found: dict[str, tuple[int, int]] = {}
    position = start + 4
    while kind := document[position]:
        end = document.index(0, position + 1)
        name = document[position + 1 : end].decode("utf-8", "replace")
        if name in found or kind not in plain.get(name, ()):
            return None
        found[name] = kind, end + 1
        position = end + 1 + (_BYTES[kind] if kind in _BYTES else _LENGTH.unpack_from(document, end + 1)[0])
        position += 4 if kind == _TEXT else 0
    return found
