"""Letters tried again: whatever one of them does, all behind it have their turn, in every pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Int64
from bson.errors import InvalidBSON
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from contracts import Rejected, UnavailableError
from pipelines.engine.letters_again import pieces, try_again
from sinks.dead_letters import DeadLetters, Letter
from sinks.stream_letters import RejectedRecord, as_letters, records_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FAULTS: Sequence[Exception] = (
    ValueError("of the letter"),
    InvalidBSON("year 0 is out of range"),
    OverflowError("int too big"),
    OperationFailure("this _id cannot be asked for", 2),
)


def _queue(folder: Path, count: int) -> DeadLetters:
    letters = DeadLetters(folder)
    letters.store([Rejected({"_id": number, "updatedAt": NOW}, "odd") for number in range(count)], "b", NOW)
    return letters


def _groups(letters: Sequence[Letter], sizes: Sequence[int]) -> list[list[Letter]]:
    """`letters` cut into groups of these sizes, the rest as one."""
    found, start = [], 0
    for size in sizes:
        found.append(list(letters[start : start + size]))
        start += size
    return [*found, list(letters[start:])]


@settings(max_examples=25)
@given(
    odd=st.dictionaries(st.integers(0, 7), st.sampled_from(FAULTS), max_size=8),
    mended=st.sets(st.integers(0, 7)),
    sizes=st.lists(st.integers(0, 4), max_size=4),
)
def test_a_letter_that_cannot_be_tried_stops_none_behind_it(
    odd: dict[int, Exception], mended: set[int], sizes: list[int]
) -> None:
    """However they are grouped: each letter has one outcome; those that raise are counted like others."""
    with tempfile.TemporaryDirectory() as folder:
        queue = _queue(Path(folder), 8)
        number_of = {letter.id: letter.record["_id"] for letter in queue.list()}

        def attempt(group: Sequence[Letter]) -> set[str]:
            for letter in group:
                if number_of[letter.id] in odd:
                    raise odd[number_of[letter.id]]
            return {letter.id for letter in group if number_of[letter.id] in mended}

        outcome = try_again(queue, _groups(queue.list(), sizes), attempt, lambda: NOW)
        resolved = [number_of[letter_id] for letter_id in outcome.resolved]
        kept = [number_of[letter_id] for letter_id in outcome.kept]
        assert sorted(resolved) == sorted(mended - odd.keys())
        assert sorted(resolved + kept) == list(range(8))
        assert {letter.record["_id"]: letter.attempts for letter in queue.list()} == dict.fromkeys(kept, 1)


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("away"), UnavailableError("away"), OSError("no space"), PyMongoError("closed"),
        OperationFailure("not primary", 10107), OperationFailure("not authorized", 13),
    ],
)  # fmt: skip
def test_what_says_nothing_about_a_letter_ends_the_retry_and_counts_nothing(
    tmp_path: Path, error: Exception
) -> None:
    """Else an outage of an hour would park every letter."""
    queue = _queue(tmp_path, 3)

    def attempt(_group: Sequence[Letter]) -> set[str]:
        raise error

    with pytest.raises(type(error)):
        try_again(queue, [queue.list()], attempt, lambda: NOW)
    assert [letter.attempts for letter in queue.list()] == [0, 0, 0]


def test_a_letter_that_somebody_deletes_meanwhile_stops_none_behind_it(tmp_path: Path) -> None:
    """`dlq purge` beside the stream."""
    queue = _queue(tmp_path, 3)
    letters = queue.list()

    def attempt(group: Sequence[Letter]) -> set[str]:
        for letter in letters[:2]:
            queue.delete(letter)
        return {letters[0].id}

    outcome = try_again(queue, [letters], attempt, lambda: NOW)
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 2)
    assert [letter.attempts for letter in queue.list()] == [1]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ITEMS = st.fixed_dictionaries(
    {"raw": st.text() | st.binary() | st.none() | JSON, "offset": st.integers() | JSON},
    optional={"timestamp_ms": st.integers() | JSON, "more": JSON},
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={"source": st.text() | JSON, "records": st.lists(ITEMS | JSON) | JSON, "note": st.text() | JSON},
)


@given(record=RECORDS)
def test_a_damaged_letter_is_one_without_records(record: dict[str, Any]) -> None:
    """People look into the folder and edit; what comes back is a record of the right types, or nothing."""
    found = records_of(record, "corrupt")
    assert isinstance(record.get("records"), list) or not found
    for each in found:
        assert isinstance(each.raw, bytes | None)
        assert abs(each.position) < 2**63
        assert each.timestamp_ms is None or abs(each.timestamp_ms) < 2**63
    letter: Any = SimpleNamespace(record=record, reason="corrupt")
    assert list(pieces([letter, letter], 1))


def test_pieces_hold_about_so_many_records() -> None:
    """Each ends with the letter that reaches the number."""
    rejected = [RejectedRecord("corrupt", f"topic/{n}", Int64(n), b"x") for n in range(5)]
    letters: Any = [
        SimpleNamespace(record=one.document, reason="corrupt") for one in as_letters(rejected, "offset")
    ]
    assert [len(piece) for piece in pieces(letters, 2)] == [2, 2, 1]
    assert list(pieces([], 2)) == []
