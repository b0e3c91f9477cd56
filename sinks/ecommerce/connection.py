"""Connections to PostgreSQL, what a transaction fixes for itself, waiting for the server, errors that pass.

Every connection of the project comes from `connect`, and every statement runs in a `transaction`. What a
role, a database or the environment says of text, dates, waiting and commits is fixed there with SET LOCAL,
which ends with the transaction: a pooler may hand the server's connection to another program then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, cast

import psycopg

from contracts import ConfigurationError
from detached import look_up
from sinks.ecommerce.bounded import ANSWER_SECONDS, OF_THE_SERVER, QUIET_SECONDS, BoundedConnection
from sinks.ecommerce.refusals import first_line, is_refused, refusal

# A peer that has vanished is noticed within a minute, while a long statement may take its time. A DSN may
# have smaller ones, neither greater nor 0, which is endless.
_BOUNDS = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What is sent is UTF-8, whatever a DSN, a role or PGCLIENTENCODING says; poolers know this option. A pooler
# would not know a statement again that was prepared on another connection of the server.
_ALWAYS: dict[str, Any] = {"client_encoding": "UTF8", "prepare_threshold": None, "keepalives": 1}
_FIXED = {
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "IntervalStyle": "'postgres'",
    "standard_conforming_strings": "on",
    "bytea_output": "'hex'",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_FIXED_SINCE = {"transaction_timeout": (170_000, "0")}
# What is committed must survive a crash of the server; how many standbys must have it is the owner's affair.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
_WAIT_SECONDS = 2.0
# Connection exceptions, the server stopping or starting, an idle session that it ended, too many connections,
# deadlock, serialization, and a server that may only be read: a replica that is to be promoted, a full disk.
_TRANSIENT_CLASSES = ("08",)
_TRANSIENT_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "53300", "40P01", "40001", "25006"})


def connect(
    dsn: str, read_only: bool = False, quiet_seconds: float | None = None, asks: bool = True
) -> BoundedConnection:
    """A connection in autocommit, whose statements belong into a `transaction`; raises psycopg's errors.

    Options in the DSN go before ours, but do not switch a bound off. A `read_only` connection sees one
    snapshot in each transaction. A statement may take its time, but once it was quiet for `quiet_seconds`
    (QUIET_SECONDS) it goes on only if the server, asked on another connection (`asks`), answers.
    """
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    bounds: dict[str, Any] = {name: _smaller(given.get(name), most) for name, most in _BOUNDS.items()}
    bounds["application_name"] = given.get("application_name") or "ecommerce"
    places = _looked_up(given, bounds["connect_timeout"])
    connection = BoundedConnection.connect(dsn, **bounds, **places, **_ALWAYS, autocommit=True)
    connection.quiet_seconds = quiet_seconds or QUIET_SECONDS
    connection.conninfo = psycopg.conninfo.make_conninfo(dsn, **bounds) if asks else ""
    level = psycopg.IsolationLevel
    connection.isolation_level = level.REPEATABLE_READ if read_only else level.READ_COMMITTED
    connection.read_only = read_only or None
    return connection


@contextmanager
def transaction(connection: psycopg.Connection[Any], **settings: str) -> Iterator[None]:
    """A transaction of the block's statements; `settings` (lock_timeout="'2s'") go before the fixed."""
    with connection.transaction():
        server = connection.info.server_version
        fixed = {name: value for name, (since, value) in _FIXED_SINCE.items() if server >= since}
        chosen = _FIXED | fixed | settings
        statements = [f"SET LOCAL {name} = {value}" for name, value in chosen.items()]
        if "synchronous_commit" not in settings:
            statements.append(_DURABLE)
        connection.execute("; ".join(statements))
        yield


@contextmanager
def session(
    dsn: str,
    read_only: bool = False,
    quiet_seconds: float | None = None,
    asks: bool = True,
    **settings: str,
) -> Iterator[psycopg.Connection[Any]]:
    """A connection for one transaction, as `connect` and `transaction` tell."""
    with (
        connect(dsn, read_only, quiet_seconds, asks) as connection,
        transaction(connection, **settings),
    ):
        yield connection


def is_transient_state(sqlstate: str | None) -> bool:
    """Whether the same call may succeed later, by the error's SQLSTATE; a lost connection has none."""
    return sqlstate is None or sqlstate[:2] in _TRANSIENT_CLASSES or sqlstate in _TRANSIENT_STATES


def is_transient_postgres(error: BaseException) -> bool:
    """Whether a statement failed because of the connection or the server's state, not of itself."""
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    return is_transient_state(error.sqlstate) and not is_refused(error)


def wait_for_server(
    dsn: str,
    seconds: float,
    on_wait: Callable[[str], None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Any] = time.sleep,
) -> None:
    """Return when PostgreSQL answers; asks every 2 seconds, for `seconds` in all.

    Raises ConfigurationError that names POSTGRES_DSN and the address: at once when the server refuses the
    user, the password or the database, or the DSN cannot be read; after the time when none answers, or it
    refuses in words that are not known here: it may be starting, or speak another language.
    """
    address = _address(dsn)
    ends = monotonic() + seconds
    while True:
        try:
            with session(dsn, quiet_seconds=ANSWER_SECONDS, asks=False) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if is_refused(error):
                raise ConfigurationError(refusal(dsn, address, error)) from None
            if monotonic() >= ends:
                if words := OF_THE_SERVER.search(str(error)):
                    raise ConfigurationError(
                        f"PostgreSQL at {address} refuses the connection ({words[0][:200]}). "
                        "Do what it says, or correct POSTGRES_DSN."
                    ) from None
                within = f" within {seconds:g} seconds" if seconds else ""
                raise ConfigurationError(
                    f"PostgreSQL at {address} did not answer{within} ({first_line(error)}). "
                    "Start it or correct POSTGRES_DSN."
                ) from None
        else:
            return
        on_wait(f"⏳ PostgreSQL at {address} is not ready, retrying in {_WAIT_SECONDS:g}s")
        sleep(_WAIT_SECONDS)


def server_time(connection: psycopg.Connection[Any]) -> datetime:
    """PostgreSQL's clock, UTC."""
    ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    return cast(datetime, now).astimezone(timezone.utc)


def _looked_up(given: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Returns the hosts of a DSN with their addresses, so that psycopg looks none of them up.

    Empty where there is no name. Raises OperationalError when no name is known within `seconds`.
    """

    def said(option: str) -> list[str]:
        return str(given.get(option) or os.environ.get(f"PG{option.upper()}", "")).split(",")

    hosts, ports = said("host"), said("port")
    names = [host for host in hosts if host and not host.startswith("/")]
    if not names or any(said("hostaddr")) or len(ports) not in (1, len(hosts)):
        return {}
    found = dict(zip(names, look_up(names, seconds), strict=True))
    places: list[tuple[str, str, str]] = []
    for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True):
        addresses = found.get(host, [""])
        if not isinstance(addresses, OSError):
            places += [(host, address, port) for address in addresses]
    if not places:
        raise psycopg.OperationalError(f"failed to resolve host {names[0]!r}: {found[names[0]]}")
    # A certificate is of a name, so that stays beside its address.
    return dict(zip(("host", "hostaddr", "port"), map(",".join, zip(*places, strict=True)), strict=True))


def _smaller(given: Any, most: int) -> int:
    """Returns a DSN's number unless it is none, 0 or negative, or greater than `most`."""
    text = str(given)
    return min(int(text), most) if text.isdecimal() and int(text) else most


def _address(dsn: str) -> str:
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Its message quotes the DSN, and a part of it may be the password.
        raise ConfigurationError(
            "POSTGRES_DSN is not a usable PostgreSQL address. Expected "
            "postgresql://[user:password@]host:port/database; percent-encode special characters."
        ) from None
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
