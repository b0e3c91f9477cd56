"""A change stream wakes the poll, whatever becomes of it. The fake behaves as MongoDB documents it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from pipelines.engine.stop_flag import StopFlag
from pipelines.health import change_alarm
from pipelines.health.change_alarm import ChangeAlarm, woken

# 286: "Resume of change stream was not possible, as the resume point may no longer be in the oplog."
HISTORY_LOST = OperationFailure("history lost", 286, {"errorLabels": ["NonResumableChangeStreamError"]})
# 280: a fatal error, after which the stream cannot be resumed either.
FATAL = OperationFailure("resume token not found", 280)
STANDALONE = OperationFailure("The $changeStream stage is only supported on replica sets", 40573)
OPEN, EVENT, NONE, INVALIDATED = "open", "event", "none", "invalidated"


class Server:
    """Plays a script: each stream that is opened takes the next steps, until one of them breaks it."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.watched: list[Any] = []
        self.on_end: Callable[[], None] = lambda: None

    def watch(self, pipeline: Any, **options: Any) -> Stream:
        """As pymongo's; it sends the command at once."""
        self.watched.append((pipeline, options))
        self.step()
        return Stream(self)

    def step(self) -> Any:
        """The next step; an error is raised."""
        if not self.script:
            self.on_end()
            return NONE
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Stream:
    """As pymongo's: without a change within the time `try_next` returns None; an invalidate event ends it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.alive = True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.alive = False

    def try_next(self) -> Any:
        """The next event."""
        step = self._server.step()
        self.alive = step != INVALIDATED
        return {"_id": {"_data": "82"}} if step == EVENT else None


def _followed(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str], bool]:
    """How often it rang until the script ended, what was told, and whether it went on listening till then."""
    alarm: Any = ChangeAlarm(server)  # type: ignore[arg-type]
    rings, told, reached = [0], list[str](), [False]
    monkeypatch.setattr(change_alarm.logger, "warning", lambda text, **_: told.append(text))
    monkeypatch.setattr(alarm._rung, "set", lambda: rings.__setitem__(0, rings[0] + 1))
    monkeypatch.setattr(alarm._ended, "wait", lambda _seconds: None)

    def end() -> None:
        reached[0] = True
        alarm._ended.set()

    server.on_end = end
    alarm.listen()
    return rings[0], told, reached[0]


@pytest.mark.parametrize(
    ("script", "rings", "told", "goes_on"),
    [
        ([OPEN, NONE, EVENT, NONE, EVENT], 3, 0, True),
        ([OPEN, EVENT, HISTORY_LOST, OPEN, EVENT], 4, 1, True),
        ([OPEN, FATAL, OPEN, EVENT], 3, 1, True),
        ([OPEN, AutoReconnect(), AutoReconnect(), AutoReconnect(), OPEN, EVENT], 3, 1, True),
        ([OPEN, EVENT, INVALIDATED, OPEN, EVENT], 4, 0, True),
        ([STANDALONE], 0, 1, False),
        ([OperationFailure("not authorized", 13)], 0, 1, False),
        ([OperationFailure("Unrecognized pipeline stage name: '$changeStream'", 40324)], 0, 1, False),
        ([NotImplementedError()], 0, 1, False),
        ([AutoReconnect(), STANDALONE], 0, 2, False),
    ],
    ids=[
        "events",
        "history lost",
        "fatal",
        "away",
        "dropped",
        "standalone",
        "no right",
        "no stage",
        "embedded",
        "later",
    ],
)
def test_it_rings_for_each_change_and_each_time_it_is_opened(
    script: list[Any], rings: int, told: int, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a lost place loses nothing; what cannot be mended by waiting ends it with one line."""
    server = Server(*script)
    found = _followed(server, monkeypatch)
    assert (found[0], len(found[1]), found[2]) == (rings, told, goes_on)
    # Never with a place to go on from: the poll is the truth.
    assert all("resume_after" not in options for _, options in server.watched)


def test_work_follows_the_alarm_and_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the trigger, and at each ring before the next one; a stop ends the wait."""
    monkeypatch.setattr(change_alarm, "_GATHER_SECONDS", 0.0)
    alarm, stop, done = ChangeAlarm(Server()), StopFlag(), [0]  # type: ignore[arg-type]

    def work() -> None:
        done[0] += 1
        if done[0] in (1, 2):
            alarm._rung.set()

    woken(work, alarm, stop, 0.05)()
    assert done[0] == 3
    threading.Timer(0.1, stop.set).start()
    woken(work, alarm, stop, 60)()
    assert done[0] == 4
    assert not alarm.rings(stop, 60)
