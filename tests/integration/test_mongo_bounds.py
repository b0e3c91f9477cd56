"""Whatever waits for MongoDB ends: a server that refuses, hangs behind its greeting, in a reply, or drips."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any, get_args

import pytest
from pydantic import SecretStr
from pymongo import monitoring
from pymongo.database import Database
from pymongo.errors import PyMongoError

from contracts import StoppedError
from dashboard.data.recent import read_recent
from mongo_patience import while_it_answers
from pipelines.health.stores import open_database as open_health
from pipelines.stock.job import open_database as open_stock
from settings import Settings, load
from sinks.health.indexes import ensure_indexes, remove_duplicates
from sinks.health.stored_results import delete_strangers
from sinks.stock.orders import forget_orders
from sinks.stock.schema import ensure_indexes as ensure_stock_indexes
from sources.health.census import take_census
from sources.health.history import all_user_ids
from sources.health.inspection import find_stale, newest
from sources.health.poll import MongoPoll
from sources.health.versions import among, stored_results
from sources.mongo_client import ServerClock, connect
from tests.support.mongo_answers import Answers, Stall, answering
from tests.support.toxiproxy import free_port, host_of

# As people copy them from other programs: each of them once switched our bounds off.
OPTIONS = "connectTimeoutMS=0&socketTimeoutMS=0&timeoutMS=0&serverSelectionTimeoutMS=0&SOCKETtimeoutms=600000"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
_BOUND_SECONDS = 0.5
# Two of them, for one command and the ping beside it; and as much time as a loaded machine may need.
_AT_MOST_SECONDS = 20.0

Db = Database[dict[str, Any]]

# The first commands of every pipeline and command, and those that look at a whole collection.
WAITS: dict[str, Callable[[Db], object]] = {
    "the server's clock": lambda db: ServerClock(db.client).now(),
    "poll": lambda db: list(MongoPoll(db["healthmetrics"], 60, 100).begin(NOW, NOW)),
    "the poll's index": lambda db: MongoPoll(db["healthmetrics"], 60, 100).ensure_index(),
    "indexes of the results": lambda db: ensure_indexes(db["analytics"]),
    "indexes of stock": ensure_stock_indexes,
    "duplicates": lambda db: remove_duplicates(db["analytics"]),
    "strangers": lambda db: delete_strangers(db["analytics"]),
    "users": lambda db: list(all_user_ids(db["healthmetrics"])),
    "reconciliation": lambda db: stored_results(db["analytics"], among([])),
    "orders of stock": lambda db: forget_orders(db, "2026"),
    "stale users": lambda db: find_stale(db["healthmetrics"], db["analytics"], NOW, NOW),
    "dashboard": lambda db: read_recent(db["analytics"]),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's bound is its own."""
    monkeypatch.setattr("dashboard.data.database._READ_SECONDS", _BOUND_SECONDS)


@pytest.fixture
def door(mongo_uri: str) -> Iterator[Answers]:
    """A way to the real server that can hang."""
    with answering(host_of(mongo_uri)) as answers:
        yield answers


def _through(address: str, name: str) -> Db:
    return connect(f"mongodb://{address}/?retryWrites=false&{OPTIONS}", round(_BOUND_SECONDS * 1000))[name]


@pytest.mark.parametrize("how", get_args(Stall))
@pytest.mark.parametrize("wait", WAITS)
def test_nothing_waits_longer_for_a_server_that_hangs(
    wait: str, how: Stall, door: Answers, database: Db
) -> None:
    """Whatever the address says; the driver's own look finds the server well all the time."""
    opened = _through(door.address, database.name)
    door.hang(how=how)
    if wait == "the server's clock":
        door.hang("hello", how=how)
    began = time.monotonic()
    with pytest.raises(PyMongoError):
        WAITS[wait](opened)
    assert time.monotonic() - began < _AT_MOST_SECONDS
    opened.client.close()
    assert time.monotonic() - began < _AT_MOST_SECONDS


@pytest.mark.parametrize("wait", WAITS)
def test_nothing_waits_longer_for_a_server_that_refuses(wait: str) -> None:
    """No server at all is one error after the bound, not after the minutes of a long command."""
    opened = _through(f"127.0.0.1:{free_port()}", "nothing")
    began = time.monotonic()
    with pytest.raises(PyMongoError):
        WAITS[wait](opened)
    assert time.monotonic() - began < _AT_MOST_SECONDS
    opened.client.close()


@pytest.mark.parametrize(
    ("open_it", "first"),
    [(open_health, "hello"), (open_stock, "ping"), (open_stock, "createIndexes")],
)
def test_the_first_commands_of_a_pipeline_are_bounded_by_the_setting(
    open_it: Callable[[Settings], object], first: str, door: Answers, database: Db
) -> None:
    """MONGO_TIMEOUT_SECONDS, whatever the address says, as `dlq retry` and the commands have it too."""
    uri = SecretStr(f"mongodb://{door.address}/?retryWrites=false&{OPTIONS}")
    settings = load(
        env_file=None, mongo_uri=uri, mongo_timeout_seconds=_BOUND_SECONDS, stock_db_name=database.name
    )
    door.hang(*((first,) if first != "createIndexes" else (first, "ping")))
    began = time.monotonic()
    with pytest.raises(PyMongoError):
        open_it(settings)
    assert time.monotonic() - began < _AT_MOST_SECONDS


def test_a_long_command_is_waited_for_while_the_server_answers_others(
    door: Answers, database: Db, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond the client's bound, and told once; a stop, and a server that hangs, end the wait."""
    opened, go_on = _through(door.address, database.name), threading.Event()
    long = partial(go_on.wait, 60)
    threading.Timer(4 * _BOUND_SECONDS, go_on.set).start()
    assert while_it_answers(opened, long, "what takes long")
    assert capsys.readouterr().out.count("what takes long") == 1
    go_on.clear()
    stop = threading.Event()
    threading.Timer(_BOUND_SECONDS, stop.set).start()
    with pytest.raises(StoppedError, match="what takes long"):
        while_it_answers(opened, long, "what takes long", stop.is_set)
    door.hang()
    with pytest.raises(PyMongoError):
        while_it_answers(opened, long, "what takes long")
    go_on.set()


class _Sent(monitoring.CommandListener):
    """Keeps the server's bound of each command that is sent, by the command's name."""

    def __init__(self) -> None:
        self.bounds: dict[str, int] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note the bound."""
        self.bounds[event.command_name] = event.command.get("maxTimeMS", 0)

    def succeeded(self, _event: monitoring.CommandSucceededEvent) -> None:
        """Ignored."""

    def failed(self, _event: monitoring.CommandFailedEvent) -> None:
        """Ignored."""


_BOUNDS: dict[str, tuple[Callable[[Db], object], str, float]] = {
    "count of a backlog": (
        lambda db: MongoPoll(db["healthmetrics"], 60, 100).count_after(NOW, NOW), "aggregate", 5.0,
    ),
    "census": (lambda db: take_census(db["healthmetrics"], NOW, seconds=2.0), "find", 2.0),
    "newest": (lambda db: newest(db["healthmetrics"], "updatedAt", 5), "find", 5.0),
    "users": (lambda db: list(all_user_ids(db["healthmetrics"])), "aggregate", 3600.0),
    "index": (lambda db: MongoPoll(db["healthmetrics"], 60, 100).ensure_index(), "createIndexes", 3600.0),
    "anything else": (lambda db: db["x"].find_one(), "find", 30.0),
}  # fmt: skip


@pytest.mark.parametrize("asked", _BOUNDS)
def test_the_bound_that_the_code_states_is_the_one_that_the_server_gets(
    asked: str, mongo_uri: str, database: Db
) -> None:
    """The client's own bound of 30 seconds would go before any `maxTimeMS`, shorter or longer."""
    ask, command, seconds = _BOUNDS[asked]
    sent = _Sent()
    with pytest.MonkeyPatch.context() as patch:
        # Clients that are made from here on have it.
        listeners = monitoring._Listeners([sent], [], [], [], [])
        patch.setattr(monitoring, "_LISTENERS", listeners)
        opened = connect(mongo_uri, 30_000)[database.name]
        ask(opened)
    opened.client.close()
    bound = sent.bounds[command] / 1000
    assert seconds - 2.0 <= bound <= seconds
