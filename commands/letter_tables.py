"""The tables of `dlq list`: the reasons of a queue's letters, or each letter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.table import Column, Table

from commands.terminal import table
from monitoring.console import counted
from sinks.dead_letters import Letter
from sinks.stream_letters import records_of

# Ids are there to be copied, also from a narrow terminal; in a pipe each letter is one line.
_ID, _MINUTE = 12, "%Y-%m-%d %H:%M"


@dataclass(slots=True)
class _Reason:
    """The letters of one reason; `example` is the id of the newest of them."""

    oldest: datetime
    newest: datetime
    example: str
    letters: int = 0
    records: int = 0


def reasons_table(letters: Iterable[Letter], of_users: bool) -> tuple[Table, str]:
    """Return a row for each reason of `letters`, the most frequent first, and how many there are.

    `of_users`: a letter is one document; those of streams hold records.
    """
    found: dict[str, _Reason] = {}
    for letter in letters:
        reason = found.setdefault(letter.problem, _Reason(letter.time, letter.newest, letter.id))
        reason.letters += 1
        reason.records += len(records_of(letter.record, letter.reason))
        reason.oldest = min(reason.oldest, letter.time)
        if letter.newest >= reason.newest:
            reason.newest, reason.example = letter.newest, letter.id
    counts = ["letters"] if of_users else ["letters", "records"]
    figures = [Column(name, justify="right", min_width=7) for name in counts]
    example = Column("for example", no_wrap=True, min_width=_ID)
    rows = table(Column("reason", min_width=16), *figures, "oldest", "newest", example)
    for name, reason in sorted(found.items(), key=lambda one: -one[1].letters):
        numbers = [f"{getattr(reason, count):,}" for count in counts]
        times = [f"{moment:{_MINUTE}}" for moment in (reason.oldest, reason.newest)]
        rows.add_row(name, *numbers, *times, reason.example[:_ID])
    total = counted(sum(reason.letters for reason in found.values()), "letter")
    return rows, f"{total} of {counted(len(found), 'reason')}"


def letters_table(letters: Iterable[Letter], of_users: bool) -> Table:
    """Return a row for each of `letters`."""
    name, tries = Column("id", no_wrap=True, min_width=_ID), Column("tries", min_width=5)
    about = "user, reason" if of_users else "source, records, reason"
    rows = table(name, "time", Column(about, min_width=24), tries)
    for letter in letters:
        tried = f"{letter.attempts}{', parked' if letter.parked else ''}"
        rows.add_row(letter.id[:_ID], f"{letter.time:{_MINUTE}}", _about(letter, of_users), tried)
    return rows


def _about(letter: Letter, of_users: bool) -> str:
    again = f", {letter.times} times until {letter.last_seen:{_MINUTE}}" if letter.last_seen else ""
    if of_users:
        return f"{letter.user_id or 'nobody'} {letter.problem}{again}"
    count = len(records_of(letter.record, letter.reason))
    return f"{letter.record.get('source', '')} {count} {letter.reason}{again}"
