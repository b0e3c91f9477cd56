"""A queue of dead letters as a page and the API show it: by reason, and one letter with what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import json_util

from contracts import ConfigurationError
from pipelines.engine.pipeline import Pipeline
from sinks.dead_letters import DeadLetters, Letter

# As many as are opened; the others are counted by their names.
EXAMINED = 200
# Of a record, as text.
_MOST_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Line:
    """A letter without anything of its record."""

    id: str
    reason: str
    time: datetime
    last_seen: datetime
    attempts: int
    parked: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """The letters of one reason, the newest first."""

    name: str
    letters: Sequence[Line]

    @property
    def oldest(self) -> datetime:
        """When the first of them was stored."""
        return min(line.time for line in self.letters)

    @property
    def newest(self) -> datetime:
        """When a record was refused for it last."""
        return max(line.last_seen for line in self.letters)


@dataclass(frozen=True, slots=True)
class Overview:
    """How many letters wait, and of the newest 200 that can be read the reasons, the most frequent first."""

    waiting: int
    examined: int
    damaged: int
    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter: what is wrong and what mends it, and its record as canonical Extended JSON.

    A record that is longer than 100 000 characters is cut, and `is_cut`.
    """

    line: Line
    words: Sequence[str]
    record: str
    is_cut: bool


class LetterDesk:
    """The letters of one pipeline, as an installation's settings find them."""

    def __init__(self, declared: Pipeline, queue: DeadLetters) -> None:
        self.pipeline = declared.name
        self._declared = declared
        self._queue = queue

    def overview(self) -> Overview:
        """Raises DeadLetterError when the folder cannot be read."""
        waiting, _ = self._queue.waiting()
        found: dict[str, list[Line]] = {}
        lines = [_line(letter) for letter in self._queue.newest(EXAMINED)]
        for line in sorted(lines, key=lambda line: line.last_seen, reverse=True):
            found.setdefault(line.reason, []).append(line)
        reasons = sorted((Reason(*each) for each in found.items()), key=lambda one: -len(one.letters))
        damaged = max(0, min(waiting, EXAMINED) - len(lines))
        return Overview(waiting, len(lines), damaged, reasons)

    def show(self, letter_id: str) -> Shown:
        """Raises ConfigurationError unless there is one such letter of this owner, or DeadLetterError."""
        letter = self._letters(letter_id)[0]
        record = json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS)
        cut = len(record) > _MOST_CHARACTERS
        return Shown(_line(letter), self._declared.words_of(letter), record[:_MOST_CHARACTERS], cut)

    def purge(self, letter_id: str) -> None:
        """Delete a letter and its copies for good. Raises what `show` raises."""
        self._queue.delete(*self._letters(letter_id))

    def _letters(self, letter_id: str) -> Sequence[Letter]:
        letters = [each for each in self._queue.named(letter_id) if isinstance(each, Letter)]
        if not letters:
            raise ConfigurationError(f"There is no letter {letter_id}.")
        return letters


def _line(letter: Letter) -> Line:
    return Line(letter.id, letter.problem, letter.time, letter.newest, letter.attempts, letter.parked)
