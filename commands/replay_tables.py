"""What `pulse replay` shows to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from analytics.health.words import plural
from commands.explain_tables import shown_value
from commands.terminal import table
from contracts.health_metrics import METRICS
from pipelines.health.replay import LOOKED_AT
from told import told

if TYPE_CHECKING:
    from commands.replay_batch import Different, Replay

_RIGHT: Any = {"justify": "right"}
_BATCHES_NAMED = 5


def print_replay(done: Replay, limit: int, screen: Console) -> None:
    """The verdict, what was replaced since, and a table for each user of whom figures differ."""
    for line, style in _sentences(done):
        screen.print(Text(line, style))
    if not limit:
        if done.tally.figures:
            command = told(f"replay {done.batch.job or done.batch.name} --diff")
            screen.print(Text(f"{command} shows them."))
        return
    for user, ones in groupby(done.shown, lambda one: one.user):
        screen.print("")
        screen.print(Text(f"User {user}"))
        _print_user(list(ones), screen)
    shown = sum(len(one.found) for one in done.shown)
    if shown < done.tally.figures:
        screen.print(f"… and {plural(done.tally.figures - shown, 'figure')} more; --limit shows more.")


def _sentences(done: Replay) -> Iterator[tuple[str, str]]:
    tally, batch = done.tally, done.batch
    jobs = ", ".join(tally.jobs)
    about = f" ({jobs})" if jobs else ""
    yield f"{batch.name}{about}, from {batch.first:%Y-%m-%d %H:%M:%S} to {batch.last:%H:%M:%S} UTC.", ""
    stands = f"{plural(tally.results, 'result')} of {plural(tally.users, 'user')}"
    if batch.written == 0:
        yield "It wrote no results.", ""
    elif not tally.results:
        yield f"None of the {batch.written or 0:,} results that it wrote stands any more.", ""
    elif not tally.figures:
        yield f"{stands}: all would be the same now.", "green"
    else:
        yield (
            (f"{stands}: {tally.equal:,} would be the same now, {tally.different:,} would differ."),
            "yellow",
        )
    if tally.missing:
        yield f"{plural(tally.missing, 'result')} of these users would be new.", "yellow"
    if tally.figures:
        yield f"In all {plural(tally.figures, 'figure')} would differ.", "yellow"
    if tally.replaced:
        yield f"Of the same users {_named(tally.replaced)} wrote other results since.", ""
    if done.gone:
        yield f"{done.gone:,} of the {batch.written or 0:,} results that it wrote were replaced since.", ""
        yield _by_whom(done), ""


def _by_whom(done: Replay) -> str:
    if not done.later:
        return "Nothing stands in their place: they expired, or were removed."
    seen = "" if done.all_later else f" (of the first {LOOKED_AT:,} later results)"
    return f"What was there then was written anew by {_named(done.later)}{seen}."


def _named(batches: Mapping[str, int]) -> str:
    ordered = sorted(batches.items(), key=lambda each: -each[1])
    names = [f"{name} ({plural(count, 'result')})" for name, count in ordered[:_BATCHES_NAMED]]
    more = len(ordered) - len(names)
    return ", ".join(names) + (f" and {plural(more, 'other batch', 'other batches')}" if more else "")


def _print_user(ones: Sequence[Different], screen: Console) -> None:
    rows = table("result", "figure", Column("stored", **_RIGHT), Column("now", **_RIGHT))
    why: dict[str, list[str]] = {}
    for one in ones:
        for number, each in enumerate(one.found):
            name = f"{one.metric} {one.time_range}" if number == 0 else ""
            rows.add_row(name, each.field, Text(shown_value(each.before)), Text(shown_value(each.after)))
        for cause in one.causes:
            names = why.setdefault(cause, [])
            if one.metric not in names:
                names.append(one.metric)
    screen.print(rows)
    for cause, names in why.items():
        # One reason of the whole person, such as a zone, needs no list.
        about = "all metrics" if len(names) == len(METRICS) else ", ".join(names)
        screen.print(Text(f"→ {about}: {cause}"))
