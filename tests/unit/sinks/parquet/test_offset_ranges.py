"""Ranges of offsets are what a set of numbers would be."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from sinks.parquet.offset_ranges import OffsetRanges

KEY = ("topic", "id", 0)
_ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda one: (one[0], sum(one))))


@given(added=_ranges, first=st.integers(0, 70), length=st.integers(0, 20))
def test_ranges_are_a_set_of_offsets(added: list[tuple[int, int]], first: int, length: int) -> None:
    """Added in any order, overlapping or touching; merged as far as can be."""
    ranges, plain = OffsetRanges(), set[int]()
    for start, after in added:
        ranges.add(KEY, start, after)
        plain |= set(range(start, after))
    within = ranges.within(KEY, first, first + length)
    found = [offset for start, after in within for offset in range(start, after)]
    assert found == sorted(plain & set(range(first, first + length)))
    kept = ranges.as_json().get("topic", {}).get("id", {}).get("0", [])
    assert all(before[1] < after[0] for before, after in itertools.pairwise(kept))


@given(one=_ranges, other=_ranges)
def test_ranges_survive_their_file_and_a_merge(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    """What is written and read again is the same; a union has both."""
    made = [OffsetRanges(), OffsetRanges()]
    for ranges, added in zip(made, (one, other), strict=True):
        for start, after in added:
            ranges.add(KEY, start, after)
    both = OffsetRanges.from_json(json.loads(json.dumps(made[0].as_json())))
    assert both.as_json() == made[0].as_json()
    both.update(made[1])
    offsets = {n for start, after in [*one, *other] for n in range(start, after)}
    assert sum(after - start for start, after in both.within(KEY, 0, 100)) == len(offsets)


def test_topics_and_partitions_are_kept_apart() -> None:
    """Also a topic that was made anew under its old name."""
    ranges = OffsetRanges()
    ranges.add(("t", "a", 0), 0, 5)
    for key in (("t", "b", 0), ("t", "a", 1), ("u", "a", 0)):
        assert ranges.within(key, 0, 10) == []
