"""Whatever waits for PostgreSQL ends when the server hangs, and no sooner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from contracts import ConfigurationError
from sinks.ecommerce import bounded
from sinks.ecommerce.connection import (
    _BOUNDS,
    connect,
    is_transient_postgres,
    session,
    transaction,
    wait_for_server,
)
from tests.support.hanging_names import HANGING, KNOWN, hanging_names
from tests.support.toxiproxy import TROUBLES, Proxy, Toxiproxy, host_of, through

_AT_MOST_SECONDS = 30.0
_QUIET_SECONDS = 0.3


@pytest.fixture
def door(toxiproxy: Toxiproxy, events_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A way to the server that can swallow everything while TCP goes on answering."""
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", _QUIET_SECONDS)
    proxy = toxiproxy.proxy(host_of(events_dsn))
    yield proxy
    proxy.close()


def _copy(connection: psycopg.Connection[Any]) -> None:
    with connection.cursor().copy("COPY (SELECT generate_series(1, 9)) TO STDOUT") as rows:
        list(rows)


def _in_pieces(connection: psycopg.Connection[Any]) -> None:
    with connection.cursor("pieces") as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(
    "statement",
    [lambda connection: connection.execute("SELECT 1"), _copy, _in_pieces],
    ids=["statement", "copy", "cursor"],
)
def test_a_statement_ends_when_the_server_hangs(
    statement: Callable[[psycopg.Connection[Any]], object], trouble: str, door: Proxy, events_dsn: str
) -> None:
    """On an open connection in a transaction; what it ends with is tried again by whoever writes a batch."""
    dsn = f"{through(door, events_dsn)}?connect_timeout=1"
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError) as caught:  # noqa: SIM117, PT012 - where it is raised is the point
        with connect(dsn, quiet_seconds=_QUIET_SECONDS) as connection, transaction(connection):
            TROUBLES[trouble](door)
            statement(connection)
    assert time.monotonic() - began < _AT_MOST_SECONDS
    assert is_transient_postgres(caught.value)


def test_a_long_statement_is_waited_for_while_the_server_answers(events_dsn: str) -> None:
    """Several times as long as it may be quiet."""
    with session(events_dsn, quiet_seconds=_QUIET_SECONDS) as connection:
        assert connection.execute("SELECT 7 FROM pg_sleep(1.5)").fetchone() == (7,)
    with pytest.raises(psycopg.OperationalError):
        _sleep(events_dsn)


def _sleep(dsn: str) -> None:
    with session(dsn, quiet_seconds=_QUIET_SECONDS, asks=False) as connection:
        connection.execute("SELECT pg_sleep(60)")


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_start_ends_when_the_server_accepts_and_says_nothing(
    trouble: str, door: Proxy, events_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names POSTGRES_DSN, whatever the DSN says of time-outs."""
    monkeypatch.setitem(_BOUNDS, "connect_timeout", 2)
    TROUBLES[trouble](door)
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match="POSTGRES_DSN"):
        wait_for_server(f"{through(door, events_dsn)}?connect_timeout=0", 0, lambda _line: None)
    assert time.monotonic() - began < _AT_MOST_SECONDS


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("connect_timeout=0", {"connect_timeout": "10"}),
        ("connect_timeout=-1", {"connect_timeout": "10"}),
        ("connect_timeout=86400", {"connect_timeout": "10"}),
        ("connect_timeout=3", {"connect_timeout": "3"}),
        ("tcp_user_timeout=0&keepalives=0", {"tcp_user_timeout": "60000", "keepalives": "1"}),
        ("tcp_user_timeout=500&keepalives_idle=0", {"tcp_user_timeout": "500", "keepalives_idle": "20"}),
        (
            "keepalives_interval=600&keepalives_count=99",
            {"keepalives_interval": "10", "keepalives_count": "3"},
        ),
        ("application_name=mine", {"application_name": "mine"}),
    ],
)
def test_a_dsn_can_make_each_wait_shorter_and_none_longer_or_endless(
    options: str, found: dict[str, str], events_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor can the environment."""
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "0")
    with session(f"{events_dsn}?{options}") as connection:
        # libpq leaves out what is as it would be without a word.
        given = {"keepalives": "1", **connection.info.get_parameters()}
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert {name: given.get(name) for name in found} == found


def test_a_name_whose_look_up_hangs_is_given_up() -> None:
    """Like a server that says nothing; at a start in one sentence."""
    dsn = f"postgresql://{HANGING}/events?connect_timeout=1"
    with hanging_names():
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="failed to resolve host") as caught:
            connect(dsn)
        assert is_transient_postgres(caught.value)
        with pytest.raises(ConfigurationError, match="did not answer"):
            wait_for_server(dsn, 0, lambda _line: None)
        assert time.monotonic() - began < _AT_MOST_SECONDS


def test_another_host_is_asked_while_a_name_s_look_up_hangs(events_dsn: str) -> None:
    """In their order, each with all of its addresses and with its own port; names stay, for certificates."""
    given = psycopg.conninfo.conninfo_to_dict(events_dsn)
    ports = f"9,{given['port']}"
    with hanging_names(str(given["host"])):
        dsn = psycopg.conninfo.make_conninfo(
            events_dsn, host=f"{HANGING},{KNOWN}", port=ports, connect_timeout=1
        )
        with connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
            assert connection.info.host == KNOWN


def test_hosts_are_taken_as_libpq_does(events_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment too, one port for all of them; an unknown one has its own error at once."""
    given = psycopg.conninfo.conninfo_to_dict(events_dsn)
    rest = {name: value for name, value in given.items() if name not in ("host", "port")}
    monkeypatch.setenv("PGHOST", f"{HANGING},{KNOWN}")
    monkeypatch.setenv("PGPORT", str(given["port"]))
    with (
        hanging_names(str(given["host"])),
        connect(psycopg.conninfo.make_conninfo("", **rest, connect_timeout=1)) as connection,
    ):
        assert connection.info.host == KNOWN
    with pytest.raises(psycopg.OperationalError, match=r"failed to resolve host 'unknown\.invalid'"):
        connect("postgresql://unknown.invalid/events")
