"""Ranges of the offsets that are in a dataset already, merged, so that they are few however many records."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

# Topic, the topic's id, partition.
Key = tuple[str, str, int]
# The first offset, and the one after the last.
Range = tuple[int, int]


class OffsetRanges:
    """A set of offsets by partition of a topic."""

    def __init__(self) -> None:
        self._ranges: dict[Key, list[Range]] = {}

    def add(self, key: Key, first: int, after: int) -> None:
        """Take in the offsets from `first` up to, but without, `after`."""
        if first >= after:
            return
        ranges = self._ranges.setdefault(key, [])
        # Those that overlap or touch become one with the new one.
        low = bisect_left(ranges, first, key=lambda one: one[1])
        high = bisect_right(ranges, after, key=lambda one: one[0])
        touched = ranges[low:high]
        if touched:
            first, after = min(first, touched[0][0]), max(after, touched[-1][1])
        ranges[low:high] = [(first, after)]

    def update(self, other: OffsetRanges) -> None:
        """Take in everything that `other` has."""
        for key, ranges in other._ranges.items():
            for first, after in ranges:
                self.add(key, first, after)

    def within(self, key: Key, first: int, after: int) -> list[Range]:
        """Returns the part of the set that lies from `first` up to, but without, `after`."""
        ranges = self._ranges.get(key, [])
        low = bisect_right(ranges, first, key=lambda one: one[1])
        high = bisect_left(ranges, after, key=lambda one: one[0])
        return [(max(first, start), min(after, end)) for start, end in ranges[low:high]]

    def ids(self, topic: str) -> set[str]:
        """Returns the ids of all topics that had the name `topic`."""
        return {topic_id for name, topic_id, _ in self._ranges if name == topic}

    def as_json(self) -> dict[str, Any]:
        """`{topic: {topic's id: {partition: [[first, after], …]}}}`."""
        found: dict[str, Any] = {}
        for (topic, topic_id, partition), ranges in sorted(self._ranges.items()):
            partitions = found.setdefault(topic, {}).setdefault(topic_id, {})
            partitions[str(partition)] = [list(one) for one in ranges]
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> OffsetRanges:
        """The reverse of `as_json`. Raises ValueError, TypeError or AttributeError when it is none."""
        made = cls()
        for key, first, after in _items(found):
            made.add(key, first, after)
        return made


def _items(found: Mapping[str, Any]) -> Iterator[tuple[Key, int, int]]:
    for topic, ids in found.items():
        for topic_id, partitions in ids.items():
            for partition, ranges in partitions.items():
                for first, after in ranges:
                    yield (topic, topic_id, int(partition)), int(first), int(after)
