"""The cursor in MongoDB: compare-and-set, people's edits, the lease and its fence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import MaxKey
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from typer.testing import CliRunner

from checkpoint.cursor import FILE_NAME
from checkpoint.mongo_cursor import MongoCursor
from checkpoint.store import CursorState
from contracts import AlreadyRunningError
from main import app
from sources.mongo_client import ServerClock

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
# A renewal that a loaded machine holds up for a second is still in time.
LEASE_SECONDS = 3.0
NAME = {"_id": "health:analytics"}


def _cursor(database: Database[dict[str, Any]], lease_seconds: float = 60.0) -> MongoCursor:
    return MongoCursor(database["analytics_checkpoints"], NAME["_id"], 30, lease_seconds)


@pytest.fixture
def cursor(database: Database[dict[str, Any]]) -> Iterator[MongoCursor]:
    """A store that holds its lease."""
    one = _cursor(database)
    with one.lock():
        yield one


def _edit(database: Database[dict[str, Any]], **values: Any) -> None:
    database["analytics_checkpoints"].update_one(NAME, {"$set": values})


def _stored(database: Database[dict[str, Any]]) -> dict[str, Any]:
    return database["analytics_checkpoints"].find_one(NAME) or {}


def test_absent_is_the_default_and_what_is_saved_is_read_back(cursor: MongoCursor) -> None:
    """The same answers as the file's: never back, never after the server's now."""
    state = cursor.read(NOW)
    assert (state.timestamp, state.origin, state.warnings) == (NOW - 30 * DAY, "default", ())
    first = cursor.save(NOW - 2 * DAY, state, NOW)
    assert first == cursor.read(NOW)
    assert first is not None
    assert cursor.save(NOW - 5 * DAY, first, NOW) == first
    second = cursor.save(NOW + DAY, first, NOW)
    assert second is not None
    assert (second.timestamp, cursor.read(NOW)) == (NOW, second)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOW - 9 * DAY, NOW - 9 * DAY),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        (None, NOW - 30 * DAY),
    ],
)
def test_a_person_wins(
    database: Database[dict[str, Any]], cursor: MongoCursor, value: Any, expected: datetime
) -> None:
    """An edit in the shell, as a date, as text or as nothing, is kept and said by None."""
    state = cursor.save(NOW - DAY, cursor.read(NOW), NOW)
    assert state is not None
    _edit(database, timestamp=value)
    assert cursor.save(NOW, state, NOW) is None
    changed = cursor.read(NOW)
    assert changed.timestamp == expected
    assert cursor.save(NOW, changed, NOW) is not None


def test_orders_need_no_lease(database: Database[dict[str, Any]], cursor: MongoCursor) -> None:
    """`checkpoint set` and `reset` work while the job runs, which notices."""
    state = cursor.save(NOW - DAY, cursor.read(NOW), NOW)
    assert state is not None
    _cursor(database).set(NOW + DAY, NOW)
    assert cursor.save(NOW, state, NOW) is None
    assert _cursor(database).read(NOW).timestamp == NOW
    _cursor(database).reset()
    assert cursor.read(NOW).origin == "default"


@pytest.mark.parametrize("value", [5, "garbage", [NOW], {"a": 1}, True])
def test_what_is_no_time_falls_back_to_the_previous_generation(
    database: Database[dict[str, Any]], cursor: MongoCursor, value: Any
) -> None:
    """It is kept aside, told once, and the position restored; never silently from zero."""
    first = cursor.save(NOW - 2 * DAY, cursor.read(NOW), NOW)
    assert first is not None
    cursor.save(NOW - DAY, first, NOW)
    _edit(database, timestamp=value)
    stored = _stored(database)
    peeked = cursor.peek(NOW)
    assert (_stored(database), len(peeked.warnings)) == (stored, 1)
    state = cursor.read(NOW)
    assert (peeked.timestamp, peeked.origin, peeked.raw) == (state.timestamp, state.origin, state.raw)
    assert (state.timestamp, state.origin) == (NOW - 2 * DAY, "previous")
    assert "corrupt" in state.warnings[0]
    assert _stored(database)["corrupt"] == value
    assert (cursor.read(NOW).origin, cursor.read(NOW).warnings) == ("mongo", ())
    assert cursor.save(NOW, state, NOW) is not None
    _edit(database, timestamp=value, previous=value)
    lost = cursor.read(NOW)
    assert (lost.origin, lost.timestamp) == ("default", NOW - 30 * DAY)
    assert lost.warnings


def test_no_start_lies_before_the_year_1(database: Database[dict[str, Any]]) -> None:
    """Who wants everything sets as many days as the setting takes."""
    cursor = MongoCursor(database["analytics_checkpoints"], "x", 10**6, 60.0)
    assert cursor.read(NOW).timestamp == datetime.min.replace(tzinfo=timezone.utc)


_OF_A_LEASE: tuple[Any, ...] = (
    "y",
    None,
    [],
    {},
    True,
    1.5,
    float("nan"),
    2**63 - 1,
    [{"fence": 1}],
    MaxKey(),
)


@pytest.mark.parametrize("lease", [*_OF_A_LEASE, *({"until": odd, "fence": odd} for odd in _OF_A_LEASE)])
def test_a_lease_that_is_none_is_absent(database: Database[dict[str, Any]], lease: Any) -> None:
    """A person edited it: it is taken like a free one, by one after the other, and the position stays."""
    database["analytics_checkpoints"].insert_one({**NAME, "lease": lease, "timestamp": NOW - DAY})
    fences = []
    for _ in range(2):
        cursor = _cursor(database)
        with cursor.lock():
            fences.append(_stored(database)["lease"]["fence"])
            assert cursor.save(NOW - DAY, cursor.read(NOW), NOW) is not None
            _edit(database, lease=lease)
            with suppress(AlreadyRunningError):
                cursor.read(NOW)
        _edit(database, lease={"fence": fences[-1]})
    assert fences[0] < fences[1]


@pytest.mark.parametrize("store", ["file", "mongo"])
@pytest.mark.parametrize("arguments", ["show", "set 2020-01-01 --dry-run", "reset --dry-run"])
def test_commands_that_only_look_change_nothing(
    mongo_uri: str,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    arguments: str,
) -> None:
    """The cursor is damaged: they tell so and leave it to the next run, which tells it too."""
    settings = {"MONGO_URI": mongo_uri, "MONGO_DB_NAME": database.name, "CURSOR_STORE": store}
    for name, value in {**settings, "CHECKPOINT_LOCATION": str(tmp_path / "cursor")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cursor").mkdir()
    (tmp_path / "cursor" / FILE_NAME).write_text("garbage")
    database["analytics_checkpoints"].insert_one({**NAME, "timestamp": "garbage"})
    stored = _stored(database)
    result = CliRunner().invoke(app, ["checkpoint", *arguments.split()])
    assert (result.exit_code, result.exception) == (0, None)
    assert ("is unreadable" if store == "file" else "is not a time") in result.stderr
    assert _stored(database) == stored
    assert [path.read_text() for path in (tmp_path / "cursor").iterdir()] == ["garbage"]


def test_odd_but_valid_positions_are_told(database: Database[dict[str, Any]], cursor: MongoCursor) -> None:
    """A future one is clamped; one before the previous generation is followed."""
    state = cursor.save(NOW - DAY, cursor.read(NOW), NOW)
    assert state is not None
    _edit(database, timestamp=NOW + DAY)
    future = cursor.read(NOW)
    assert future.timestamp == NOW
    assert "future" in future.warnings[0]
    _edit(database, timestamp=NOW - 9 * DAY)
    assert "earlier than its previous generation" in cursor.read(NOW).warnings[0]


def test_the_commands_speak_to_it_too(
    database: Database[dict[str, Any]], mongo_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`checkpoint show`, `set` and `reset` with CURSOR_STORE=mongo; no file is written."""
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("MONGO_URI", mongo_uri),
        ("MONGO_DB_NAME", database.name),
        ("CURSOR_STORE", "mongo"),
    ):
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["checkpoint", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "(default)" in run("show")
    assert "2026-01-01T00:00:00.000Z (mongo)" in run("set", "2026-01-01")
    assert _stored(database)["timestamp"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert "(default)" in run("reset")
    assert not list(tmp_path.iterdir())


def test_notes_are_kept_and_removed(cursor: MongoCursor) -> None:
    """What the next process must know; users' ids are keys in them."""
    assert cursor.read_notes() == {}
    notes = {"trying": ["64b000000000000000000001"], "failures": {"64b000000000000000000001": 2}}
    cursor.write_notes(notes)
    assert cursor.read_notes() == notes
    cursor.write_notes({})
    assert cursor.read_notes() == {}


@contextmanager
def _stalled(cursor: MongoCursor) -> Iterator[None]:
    """The holder loses its time: no renewal happens while the block runs, as in a stopped process."""
    setattr(cursor, "_renew_until", lambda _ended: None)  # noqa: B010 - mypy knows that it is a method
    with cursor.lock():
        yield


def test_a_second_instance_is_refused_while_the_first_renews(database: Database[dict[str, Any]]) -> None:
    """Soon, with the holder's name; and it may start as soon as the first has ended."""
    with _cursor(database, LEASE_SECONDS).lock():
        began = time.monotonic()
        with (
            pytest.raises(AlreadyRunningError, match="Another instance"),
            _cursor(database, LEASE_SECONDS).lock(),
        ):
            pass
        assert time.monotonic() - began < 20 * LEASE_SECONDS
        time.sleep(2 * LEASE_SECONDS)
        assert _stored(database)["lease"]["fence"] == 1
    with _cursor(database, 60).lock():
        assert _stored(database)["lease"]["fence"] == 2


def test_a_stalled_first_instance_that_wakes_up_changes_nothing(database: Database[dict[str, Any]]) -> None:
    """Its lease ran out and another took over: it can neither save, nor note, nor read to go on."""
    first, second = _cursor(database, LEASE_SECONDS), _cursor(database, LEASE_SECONDS)
    with _stalled(first):
        state = first.read(NOW)
        with second.lock():
            saved = second.save(NOW - DAY, second.read(NOW), NOW)
            with pytest.raises(AlreadyRunningError, match="taken over"):
                first.save(NOW, state, NOW)
            with pytest.raises(AlreadyRunningError, match="taken over"):
                first.write_notes({"trying": []})
            with pytest.raises(AlreadyRunningError, match="taken over"):
                first.read(NOW)
            assert second.read(NOW) == saved
    # The first one's end must not have ended the second one's lease.
    assert _stored(database)["lease"]["fence"] == 2


def _dropped(database: Database[dict[str, Any]]) -> None:
    database["analytics_checkpoints"].drop()


def _all_dropped(database: Database[dict[str, Any]]) -> None:
    database.client.drop_database(database.name)


def _restored(database: Database[dict[str, Any]]) -> None:
    """From a copy that was made when another instance held the lease."""
    lease = {"owner": "another", "fence": 1, "until": NOW - 9 * DAY}
    old = {**NAME, "lease": lease, "timestamp": NOW - 9 * DAY}
    database["analytics_checkpoints"].replace_one(NAME, old, upsert=True)


@pytest.mark.parametrize("harm", [_dropped, _all_dropped, _restored])
@pytest.mark.parametrize("first", ["read", "save", "write_notes"])
def test_a_checkpoint_that_is_dropped_or_restored_under_its_holder_is_his_again(
    database: Database[dict[str, Any]], harm: Callable[[Any], None], first: str
) -> None:
    """He goes on from what is there now; nobody else may run beside him, and no other instance is made up."""
    with _cursor(database).lock():
        pass
    one = _cursor(database)
    with one.lock():
        state = one.save(NOW - DAY, one.read(NOW), NOW)
        assert state is not None
        harm(database)
        expected = NOW - (9 if harm is _restored else 30) * DAY
        if first == "save":
            assert one.save(NOW, state, NOW) is None
        elif first == "write_notes":
            one.write_notes({"trying": ["a"]})
            assert one.read_notes() == {"trying": ["a"]}
        found = one.read(NOW)
        assert found.timestamp == expected
        assert one.save(NOW, found, NOW) is not None
        lease = _stored(database)["lease"]
        assert (lease["fence"], lease["owner"]) == (2, one._owner)
        assert lease["until"] > datetime.now(timezone.utc)


def test_a_holder_whose_checkpoint_was_dropped_and_begun_anew_by_another_ends(
    database: Database[dict[str, Any]],
) -> None:
    """Though the other's number is not greater: it lives."""
    with _cursor(database).lock():
        pass
    one, other = _cursor(database), _cursor(database)
    with one.lock():
        _dropped(database)
        with other.lock():
            with pytest.raises(AlreadyRunningError, match="taken over"):
                one.read(NOW)
            assert other.save(NOW, other.read(NOW), NOW) is not None


def test_a_stalled_instance_touches_neither_a_position_it_knows_nor_the_others_lease(
    database: Database[dict[str, Any]],
) -> None:
    """The one that took over has saved nothing yet, so the position is what the first one expects."""
    first, second = _cursor(database, LEASE_SECONDS), _cursor(database)
    with second_holds(first, second) as state:
        before = _stored(database)
        with pytest.raises(AlreadyRunningError, match="taken over"):
            first.save(NOW, state, NOW)
        rounds = iter([False, False, True])
        ended: Any = SimpleNamespace(wait=lambda _seconds: next(rounds))
        MongoCursor._renew_until(first, ended)
        assert _stored(database) == before


@contextmanager
def second_holds(first: MongoCursor, second: MongoCursor) -> Iterator[CursorState]:
    """`first` stalls and `second` takes over; after the block `first` ends, and at last `second`."""
    with ExitStack() as seconds:
        with _stalled(first):
            state = first.read(NOW)
            seconds.enter_context(second.lock())
            yield state
            lease = second._collection.find_one(second._key, {"lease": 1})
        assert second._collection.find_one(second._key, {"lease": 1}) == lease


def test_a_lease_is_given_back_at_the_end(database: Database[dict[str, Any]]) -> None:
    """Else the next start waits until it has run out."""
    with _cursor(database).lock():
        pass
    assert _stored(database)["lease"]["until"] < ServerClock(database.client).now()


class _EditWhenRead(CommandListener):
    """A person's edit in the moment after the position was read."""

    def __init__(self, edit: Callable[[], None]) -> None:
        self.edit: Callable[[], None] | None = edit
        self.unacknowledged: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Writes must outlive an election."""
        writes = event.command_name in ("update", "insert", "findAndModify")
        if writes and event.command.get("writeConcern") != {"w": "majority"}:
            self.unacknowledged.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Once."""
        edit, self.edit = (self.edit, None) if event.command_name == "find" else (None, self.edit)
        if edit:
            edit()

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("previous", [NOW - 3 * DAY, None])
def test_an_edit_in_the_middle_of_a_recovery_wins_too(
    database: Database[dict[str, Any]], mongo_uri: str, previous: datetime | None
) -> None:
    """A person mends what was no time while the service restores the previous generation.

    Whatever the address says of acknowledgement, all that is written here has that of the majority.
    """
    database["analytics_checkpoints"].insert_one({**NAME, "timestamp": "garbage", "previous": previous})
    mended = NOW - 9 * DAY
    listener = _EditWhenRead(lambda: _edit(database, timestamp=mended))
    client: MongoClient[dict[str, Any]] = MongoClient(
        mongo_uri, tz_aware=True, w=1, event_listeners=[listener]
    )
    cursor = MongoCursor(client[database.name]["analytics_checkpoints"], NAME["_id"], 30, 60)
    state = cursor.read(NOW)
    assert _stored(database)["timestamp"] == mended
    with cursor.lock():
        assert cursor.read(NOW).timestamp == mended
        cursor.save(NOW, cursor.read(NOW), NOW)
        cursor.write_notes({"a": 1})
        assert cursor.save(NOW, state, NOW) is None
    cursor.set(NOW, NOW)
    cursor.reset()
    client.close()
    assert listener.unacknowledged == []


def test_of_many_that_start_at_once_one_runs(database: Database[dict[str, Any]]) -> None:
    """The lease is taken by one atomic update."""
    inside, most, refused = [0], [0], [0]
    guard, start = threading.Lock(), threading.Barrier(6)

    def run() -> None:
        start.wait()
        try:
            with _cursor(database, 3 * LEASE_SECONDS).lock():
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(5 * LEASE_SECONDS)
                with guard:
                    inside[0] -= 1
        except AlreadyRunningError:
            with guard:
                refused[0] += 1

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], refused[0]) == (1, 5)


def test_the_lease_is_by_the_servers_clock(database: Database[dict[str, Any]], mongo_uri: str) -> None:
    """Hosts whose clocks disagree take nothing from each other."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri, tz_aware=True)
    before = ServerClock(client).now()
    with _cursor(database, 60).lock():
        until = _stored(database)["lease"]["until"]
        after = ServerClock(client).now()
    client.close()
    assert before + timedelta(seconds=59) <= until <= after + timedelta(seconds=61)
