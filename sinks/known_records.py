"""Tells which refused records of a stream lie in letters already, however its batches were cut before.

A checkpoint that was lost is begun anew, and then a batch has other records than the one that was refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from sinks.letter_files import Letter, beginning_of, read_letter
from sinks.stored_letters import StoredLetters
from sinks.stream_letters import RejectedRecord, group_of, identity_of, records_of

Filter = Callable[[Sequence[RejectedRecord]], Sequence[RejectedRecord]]


class KnownRecords:
    """Looks records up in the letters of their group; each letter is read once where nothing comes again.

    Streams may share it.
    """

    def __init__(self, letters: StoredLetters) -> None:
        self._letters = letters
        # The positions between which the records of each letter lie that was read.
        self._spans: dict[Path, range] = {}
        self._turn = Lock()

    def now(self) -> Filter:
        """Returns what leaves out of records of one group those that the letters of this moment hold."""
        by_beginning = cache(self._by_beginning)

        def unknown(chunk: Sequence[RejectedRecord]) -> Sequence[RejectedRecord]:
            known: set[Any] = set()
            for path in by_beginning().get(beginning_of(group_of(chunk[0])), ()):
                known |= self._held(path, chunk)
            return [record for record in chunk if _refusal(record) not in known] if known else chunk

        return unknown

    def _by_beginning(self) -> Mapping[str, Sequence[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path, beginning in self._letters.beginnings():
            found[beginning].append(path)
        there = {path for paths in found.values() for path in paths}
        with self._turn:
            self._spans = {path: span for path, span in self._spans.items() if path in there}
        return found

    def _held(self, path: Path, chunk: Sequence[RejectedRecord]) -> set[Any]:
        """The records in the letter `path`; none where they lie before all of `chunk`, or behind."""
        span = self._spans.get(path)
        positions = [record.position for record in chunk]
        if span is not None and (span.stop <= min(positions) or max(positions) < span.start):
            return set()
        letter = read_letter(path)
        records = records_of(letter.record, letter.reason) if isinstance(letter, Letter) else ()
        found = [record.position for record in records]
        with self._turn:
            self._spans[path] = range(min(found), max(found) + 1) if found else range(0)
        return {_refusal(record) for record in records}


def _refusal(record: RejectedRecord) -> Any:
    return record.reason, record.note, identity_of(record)
