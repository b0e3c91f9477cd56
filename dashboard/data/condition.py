"""Judges whether a pipeline works, from what can be read of it where the dashboard runs.

A page says how old the data is, not when it was looked at: a stream that has been dead for days answers each
look at once. The clock is always the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

State = Literal["running", "waiting", "stale", "stopped", "not started", "unknown"]
Tone = Literal["fresh", "amber", "red"]

# A pipeline of these states works.
WORKS: Final[tuple[State, ...]] = ("running", "waiting")
AMBER_INTERVALS: Final = 3
# A page shows what it read up to half a minute ago; three intervals of a quick stream are shorter.
AMBER_AT_LEAST: Final = timedelta(minutes=1)
RED: Final = timedelta(minutes=15)

_EXPLAINED: Final[dict[State, str]] = {
    "running": "It works, and its results are new.",
    "waiting": "It looks for new records, and there are none.",
    "stale": "Nothing succeeded for three intervals: a long batch, failing ones, or it stands still.",
    "stopped": "Nothing succeeded for 15 minutes: it does not run, or cannot.",
    "not started": "It has left no result, log or metrics yet.",
    "unknown": "Neither a new result nor its log or metrics file tells whether it runs.",
}


@dataclass(frozen=True)
class Signs:
    """What could be read of a pipeline; moments are aware UTC, None where there is nothing.

    `newest` is its newest result, file or commit, `fault` why its results cannot be read now. `worked` is the
    end of its last batch that did not fail, `looked` when it last had read its source to the end, `written`
    when it wrote its metrics file, which it does with its start and also with batches that fail.
    `interval_seconds` is the pause between two of its batches.
    """

    interval_seconds: float
    newest: datetime | None = None
    worked: datetime | None = None
    looked: datetime | None = None
    written: datetime | None = None
    fault: str | None = None

    def with_results(self, newest: datetime | None, fault: str | None) -> Signs:
        """The same with what its results say."""
        return replace(self, newest=newest, fault=fault)


def amber_after(interval_seconds: float) -> timedelta:
    """The age from which on a result is no longer new."""
    return min(max(timedelta(seconds=AMBER_INTERVALS * interval_seconds), AMBER_AT_LEAST), RED)


def tone(moment: datetime, interval_seconds: float, now: datetime) -> Tone:
    """How urgent the age of `moment` is; one in the future is fresh."""
    age = now - moment
    if age > RED:
        return "red"
    return "amber" if age > amber_after(interval_seconds) else "fresh"


def state_of(signs: Signs, now: datetime) -> State:
    """The state of the pipeline; every combination of signs has exactly one."""
    done = _latest(signs.newest, signs.worked)
    # A batch that fails is no sign of life, and the first one has nothing but the file of the start.
    told = _latest(signs.worked, signs.looked) or signs.written
    if done is None and told is None:
        return "unknown" if signs.fault else "not started"
    if done is not None and tone(done, signs.interval_seconds, now) == "fresh":
        return "running"
    if told is None:
        return "unknown"
    last = _latest(done, told) or told
    found: dict[Tone, State] = {"fresh": "waiting", "amber": "stale", "red": "stopped"}
    return found[tone(last, signs.interval_seconds, now)]


def explained(state: State) -> str:
    """What `state` means, in a sentence."""
    return _EXPLAINED[state]


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
