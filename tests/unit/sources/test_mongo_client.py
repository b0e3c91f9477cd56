"""Connections, clocks and the embedded store."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from bson import Binary, DatetimeMS, ObjectId
from pymongo import MongoClient, ReadPreference, UpdateOne, WriteConcern
from pymongo.errors import AutoReconnect, BulkWriteError, ServerSelectionTimeoutError

from checkpoint.mongo_cursor import MongoCursor
from contracts import ConfigurationError
from monitoring.logs import redact
from sources.mongo_client import (
    MonotonicClock,
    ServerClock,
    connect,
    for_reading,
    is_mongomock,
    passed_over,
)

MS = timedelta(milliseconds=1)


class FixedClock:
    """Gives the times it was made with."""

    def __init__(self, *times: datetime) -> None:
        self._times = list(times)

    def now(self) -> datetime:
        """The next of them."""
        return self._times.pop(0)


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://robert:pa/ssphrase@host:27017",
        "mongodb://robert:ssphrase@@host",
        "mongodb://robert:ssphrase@host:port",
        "mongodb://robert:%ssphrase@host",
        "mongodb://robert:ssphrase%40host:27017/db",
        "mongodb://robert:ssphrase",
        "mongodb://host:1,robert:ssphrase/",
        "postgres://robert:ssphrase@host",
    ],
)
def test_a_wrong_address_is_one_clear_error_without_credentials(uri: str) -> None:
    """The message names MONGO_URI and no part of user or password; no cause behind it shows them."""
    with pytest.raises(ConfigurationError, match="MONGO_URI") as caught:
        connect(uri)
    assert "ssphrase" not in str(caught.value)
    assert "robert" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("tls=ture", "tls must be"),
        ("tls=true&tlsCAfiel=ca.pem", "tlscafiel"),
        ("tlsCAFile=/not/there", "/not/there"),
        ("authMechanism=PLAINN", "authmechanism must be"),
        ("readPreferenceTags=hunter2", "readpreferencetags"),
        ("authMechanismProperties=AWS_SESSION_TOKEN:hunter2,x", "auth mechanism properties"),
    ],
)
def test_an_option_that_means_nothing_is_an_error(options: str, told: str) -> None:
    """pymongo goes on without it: with `tls=ture` the password would travel as plain text."""
    with pytest.raises(ConfigurationError, match="MONGO_URI") as caught:
        connect(f"mongodb://app:hunter2@127.0.0.1:9/?{options}")
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_name_that_cannot_be_looked_up_is_told_as_that() -> None:
    """The cause is DNS, not how the address is written; a machine without any DNS server is told alike."""
    uri = "mongodb+srv://app:hunter2@cluster0.example.invalid/db"
    with pytest.raises(
        ConfigurationError, match=r"cluster0\.example\.invalid, could not be looked up"
    ) as caught:
        connect(uri, 2000)
    assert "hunter2" not in str(caught.value)
    assert "percent" not in str(caught.value)


def test_the_example_of_an_address_is_shown_whole() -> None:
    """No part of it looks like a password that the logs would mask."""
    with pytest.raises(ConfigurationError, match="percent-encode") as caught:
        connect("mongodb://a:b:c@host")
    assert redact(str(caught.value)) == str(caught.value)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", False),
        ("/", False),
        ("/health", False),
        ("/admin?authSource=admin", False),
        ("/other", True),
        ("/other%20one?x=a@b/health", True),
    ],
)
def test_a_database_in_the_address_that_is_not_used_is_told(path: str, told: bool) -> None:
    """Only the setting counts; `admin` is where users log in."""
    sentence = passed_over(f"mongodb://app:hun/ter2@h1,h2:27017{path}", "health", "MONGO_DB_NAME")
    assert bool(sentence) is told
    assert not told or "MONGO_DB_NAME chooses health" in sentence
    assert "ter2" not in sentence


def test_an_unreachable_server_is_named_without_credentials() -> None:
    """pymongo's own error passes through, within the time given."""
    client = connect("mongodb://robert:ssphrase@127.0.0.1:9/", timeout_ms=100)
    with pytest.raises(ServerSelectionTimeoutError, match=r"127\.0\.0\.1:9") as caught:
        ServerClock(client).now()
    assert "ssphrase" not in str(caught.value)
    client.close()


_TIMEOUTS = (
    "timeoutMS",
    "connectTimeoutMS",
    "socketTimeoutMS",
    "serverSelectionTimeoutMS",
    "waitQueueTimeoutMS",
)


@pytest.mark.parametrize("separator", ["&", ";"])
@pytest.mark.parametrize("spell", [str, str.lower, str.upper, str.swapcase])
@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 5.0), ("1", 0.001), ("1234", 1.234), ("5001", 5.0), ("3600000", 5.0)]
)
def test_an_address_can_make_each_wait_shorter_and_none_longer_or_endless(
    value: str, seconds: float, spell: Callable[[str], str], separator: str
) -> None:
    """Each alone and all together, however they are written: the bound of MONGO_TIMEOUT_SECONDS holds."""
    allowed = [name for name in _TIMEOUTS if not (name == "waitQueueTimeoutMS" and value == "0")]
    for names in (*([name] for name in allowed), allowed):
        options = separator.join(f"{spell(name)}={value}" for name in names)
        client = connect(f"mongodb://127.0.0.1:9/?{options}", timeout_ms=5000)
        found, pool = client.options, client.options.pool_options
        bounds = {
            "timeoutMS": found.timeout,
            "connectTimeoutMS": pool.connect_timeout,
            "socketTimeoutMS": pool.socket_timeout,
            "serverSelectionTimeoutMS": found.server_selection_timeout,
            "waitQueueTimeoutMS": pool.wait_queue_timeout,
        }
        client.close()
        expected = {name: seconds if name in names else 5.0 for name in _TIMEOUTS}
        assert bounds == pytest.approx(expected), options


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time() -> None:
    """Every command is bounded, not only connecting: a black hole accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        client = connect(f"mongodb://127.0.0.1:{hole.getsockname()[1]}/", timeout_ms=300)
        began = time.monotonic()
        with pytest.raises(AutoReconnect):
            ServerClock(client).now()
        # Not the minutes that a driver waits by itself.
        assert time.monotonic() - began < 30
        client.close()


def test_the_embedded_store_is_one_per_address_and_takes_bulk_upserts() -> None:
    """The same address shares its data; conditional bulk upserts behave like the server's, 11000 included."""
    client = connect("mongomock://bulk")
    assert connect("mongomock://bulk") is client
    assert connect("mongomock://other") is not client
    results = client["database"]["results"]
    assert is_mongomock(client)
    assert is_mongomock(results)
    results.create_index("key", unique=True)
    key = ObjectId()
    update = UpdateOne({"key": key, "rank": {"$lt": 2}}, {"$set": {"rank": 2}}, upsert=True)
    assert results.bulk_write([update]).upserted_count == 1
    with pytest.raises(BulkWriteError) as caught:
        results.bulk_write([update], ordered=False)
    assert [error["code"] for error in caught.value.details["writeErrors"]] == [11000]


def test_importing_changes_nothing() -> None:
    """Neither mongomock is loaded nor its method replaced by an import."""
    program = "import sys, sources.mongo_client; sys.exit('mongomock' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_embedded_store_s_clock_is_local_time_in_milliseconds() -> None:
    """Aware UTC, truncated."""
    before = datetime.now(timezone.utc) - MS
    now = ServerClock(connect("mongomock://clock")).now()
    assert before < now <= datetime.now(timezone.utc)
    assert now.microsecond % 1000 == 0


def test_next_never_repeats_even_when_the_clock_is_set_back() -> None:
    """At least one millisecond after the value before; `now` stays the wrapped clock's."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    clock = MonotonicClock(FixedClock(start, start, start - 5 * MS, start - 5 * MS, start + 9 * MS))
    assert [clock.next(), clock.next(), clock.next()] == [start, start + MS, start + 2 * MS]
    assert clock.now() == start - 5 * MS
    assert clock.next() == start + 9 * MS


def _broken_text() -> bytes:
    raw = bson.encode({"x": "ab"})
    return raw.replace(b"ab", b"\xff\xfe")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (_broken_text(), "\ufffd\ufffd"),
        (bson.encode({"x": DatetimeMS(-(2**63))}), DatetimeMS(-(2**63))),
        (bson.encode({"x": DatetimeMS(8_640_000_000_000_000)}), DatetimeMS(8_640_000_000_000_000)),
        (bson.encode({"x": Binary(b"short", 4)}), Binary(b"short", 4)),
        (bson.encode({"x": Binary(bytes(16), 4)}), Binary(bytes(16), 4)),
        (bson.encode({"x": datetime(2026, 1, 1)}), datetime(2026, 1, 1, tzinfo=timezone.utc)),  # noqa: DTZ001
    ],
    ids=["text", "least date", "JavaScript's last date", "short UUID", "UUID", "date"],
)
def test_whatever_is_stored_can_be_read_and_from_the_primary(raw: bytes, value: Any) -> None:
    """One such document would end every read that meets it, and a secondary may not have the newest.

    Whatever the address says, and also in a collection whose client somebody else made.
    """
    address = (
        "mongodb://127.0.0.1:9/?readPreference=secondary&readPreferenceTags=dc:a&maxStalenessSeconds=120"
    )
    ours, other = (
        connect(address),
        MongoClient[dict[str, Any]]("mongodb://127.0.0.1:9/?readPreference=nearest"),
    )
    for collection in (ours["x"]["y"], for_reading(other["x"]["y"])):
        assert bson.decode(raw, collection.codec_options) == {"x": value}
        assert collection.read_preference == ReadPreference.PRIMARY
    cursor = MongoCursor(other["x"]["y"], "name", 30, 60)
    assert cursor._collection.read_preference == ReadPreference.PRIMARY
    assert cursor._collection.write_concern == WriteConcern("majority")
    ours.close()
    other.close()
