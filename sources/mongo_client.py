"""Connections to MongoDB, whose clock counts, and how documents of the contract are decoded.

`mongomock://` selects an embedded in-process store for the demo and unit tests; nothing is proven on it.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from importlib import import_module
from typing import Any, cast
from urllib.parse import unquote_plus

import pymongo
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError as PymongoConfigurationError
from pymongo.errors import InvalidURI
from pymongo.uri_parser import split_options, validate_options

from contracts import Clock, ConfigurationError

EMBEDDED_SCHEME = "mongomock://"
CONTRACT_FIELDS = (
    "_id",
    "userId",
    "date",
    "updatedAt",
    "source",
    "metrics",
    "heartRate",
    "oxygenSaturation",
    "bloodOxygen",
)
PROJECTION = dict.fromkeys(CONTRACT_FIELDS, 1)
# The last is that of a whole operation; the others hold for what the driver does beside it.
_TIMEOUTS = (
    "serverSelectionTimeoutMS",
    "connectTimeoutMS",
    "socketTimeoutMS",
    "waitQueueTimeoutMS",
    "timeoutMS",
)
_MILLISECOND = timedelta(milliseconds=1)
# `name:password` without its @ looks like a host with a port, until a port has to be a number.
_HOST = r"(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?"
_ONLY_HOSTS = re.compile(rf"[a-z+]+://{_HOST}(?:,{_HOST})*(?:[/?][^@]*)?", re.IGNORECASE)
# No stored value may stop a read: a date outside Python's years comes as a DatetimeMS, broken UTF-8 is
# replaced, and a UUID comes as the Binary that it is, since one of a wrong length cannot be a UUID.
TOLERANT: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    tzinfo=timezone.utc,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)
# The same conversions as options of a client.
_TOLERANT_CLIENT: Mapping[str, Any] = {
    "tz_aware": True,
    "tzinfo": timezone.utc,
    "datetime_conversion": "DATETIME_AUTO",
    "unicode_decode_error_handler": "replace",
    "uuidRepresentation": "unspecified",
    # An address may add these to another preference; the primary alone does not go with them.
    "readPreference": "primary",
    "readPreferenceTags": "",
    "maxStalenessSeconds": -1,
}

_embedded_clients: dict[str, MongoClient[dict[str, Any]]] = {}
_embedded_lock = threading.Lock()


def connect(uri: str, timeout_ms: int = 5000) -> MongoClient[dict[str, Any]]:
    """A client that reads from the primary and whatever is stored; the first command contacts the server.

    Datetimes are aware UTC. A document that cannot be decoded would blind a poll, or hold all that waits
    behind it, for good; so this is the one way to a collection, for every pipeline and command.
    `timeout_ms` bounds every command, from finding the server to its answer, and the server is told to give
    up by then too (maxTimeMS), so that what was abandoned does not go on beside its repetition. Each reply of
    a cursor has that time anew. Time-outs in the URI may be shorter, but neither longer nor off; its other
    options go before ours, but not before how documents are read.
    Raises ConfigurationError, without any part of the credentials, when the URI cannot be used.
    """
    if uri.startswith(EMBEDDED_SCHEME):
        return _embedded(uri)
    try:
        with warnings.catch_warnings():
            # What pymongo warns of here is an error below.
            warnings.simplefilter("ignore")
            given = _given_options(uri)
            bounds: dict[str, Any] = {name: _shorter(given.get(name), timeout_ms) for name in _TIMEOUTS}
            client: MongoClient[dict[str, Any]] = MongoClient(uri, **bounds, **_TOLERANT_CLIENT)
    except OSError as error:
        raise ConfigurationError(
            f"MONGO_URI names a file that cannot be read: {error.filename} ({error.strerror})."
        ) from None
    except (InvalidURI, PymongoConfigurationError, ValueError) as error:
        # pymongo quotes parts of a malformed address, and a part of it may be the password.
        if isinstance(error, PymongoConfigurationError) and error.__cause__ is not None:
            # Only of a name that was looked up; nothing of it is secret.
            said = str(error).partition("\n")[0].rstrip(".")
            raise ConfigurationError(
                f"The servers of MONGO_URI, {hosts_of(uri)[0]}, could not be looked up ({said}). Correct the "
                "name, or let this machine reach a DNS server that knows it."
            ) from None
        detail = f": {error}" if _ONLY_HOSTS.fullmatch(uri) else f" ({type(error).__name__}; details hidden)"
        raise ConfigurationError(
            f"MONGO_URI is not a usable MongoDB address{detail}. Expected "
            "mongodb://host:port/?options, with the user, a colon, the password and an @ before the host if "
            "it asks for them; percent-encode special characters in the password."
        ) from None
    if faults := [fault for name, value in given.items() if (fault := _option_fault(name, value))]:
        client.close()
        raise ConfigurationError(f"MONGO_URI has options that mean nothing: {'; '.join(faults)}.")
    return client


def hosts_of(uri: str) -> list[str]:
    """The servers that a MongoDB address names, with their ports and without any secret; connects to none."""
    scheme, _, rest = uri.partition("://")
    # An option may hold an @ too.
    authority = rest.partition("?")[0].rpartition("@")[2].partition("/")[0]
    hosts = authority.lower().replace("localhost", "127.0.0.1").split(",")
    port = "" if scheme.lower() == "mongodb+srv" else ":27017"
    return [host if re.search(r":\d+$", host) else f"{host}{port}" for host in hosts]


def passed_over(uri: str, database: str, setting: str) -> str:
    """A sentence when the address names another database than `database`, which `setting` names; else empty.

    Who logs in often names `admin`, where users are.
    """
    path = uri.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")[2]
    named = unquote_plus(path)
    if not named or named in (database, "admin") or uri.startswith(EMBEDDED_SCHEME):
        return ""
    return f"MONGO_URI names the database {named}, but {setting} chooses {database}, which is used"


@lru_cache(maxsize=4)
def shared_client(uri: str, timeout_ms: int) -> MongoClient[dict[str, Any]]:
    """This process's one client of `uri`, whose connections the tasks of a Spark worker share."""
    return connect(uri, timeout_ms)


def _given_options(uri: str) -> MutableMapping[str, Any]:
    """Returns the options of an address as the driver reads them: names of any case, values as text."""
    query = uri.partition("?")[2]
    return split_options(query, validate=False) if query else {}


def _shorter(given: Any, bound_ms: int) -> float:
    """Returns the address's time-out, in milliseconds, unless it is none, off, or beyond `bound_ms`."""
    try:
        wanted = float(given)
    except (TypeError, ValueError):
        return bound_ms
    return wanted if 0 < wanted < bound_ms else bound_ms


def _option_fault(name: str, value: Any) -> str | None:
    """Returns a sentence when an option is wrong.

    pymongo would only warn and go on without it: `tls=ture` would send passwords as plain text.
    """
    try:
        validate_options({name: value})
    except (PymongoConfigurationError, ValueError, TypeError) as error:
        reason = str(error).partition(". Did you mean")[0]
        # Validators tell the rule; should one tell the value, that may be a password.
        given = value if isinstance(value, list) else [value]
        return reason if not any(str(each) in reason for each in given) else name
    return None


def ping(database: Database[dict[str, Any]], seconds: float = 1.0) -> None:
    """Ask the server for any sign of life. Raises pymongo's errors when there is none within `seconds`."""
    with pymongo.timeout(seconds):
        database.command("ping")


def is_mongomock(thing: Any) -> bool:
    """Whether `thing`, a client, database or collection, is of the embedded store."""
    return type(thing).__module__.split(".")[0] == "mongomock"


def for_reading(collection: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The same collection, read as one of `connect` is, whoever made its client."""
    if is_mongomock(collection):
        return collection.with_options(codec_options=CodecOptions(tz_aware=True))
    return collection.with_options(codec_options=TOLERANT, read_preference=ReadPreference.PRIMARY)


def is_asked_for(document_id: Any) -> bool:
    """Whether a query for `document_id`, as `connect` reads it, finds its document.

    Text that was broken UTF-8 is another one now, and a DBPointer was read as a DBRef.
    """
    told = "" if type(document_id) is ObjectId else repr(document_id)
    return "\ufffd" not in told and "DBRef(" not in told


class ServerClock:
    """The database server's time, so that hosts with wrong clocks agree on what "up to now" is."""

    def __init__(self, client: MongoClient[dict[str, Any]]) -> None:
        self._client = client

    def now(self) -> datetime:
        """`hello.localTime`, aware UTC, milliseconds; the local clock on the embedded store.

        Raises pymongo's connection errors as they are, and ConfigurationError for a server without a clock.
        """
        now: Any
        if is_mongomock(self._client):
            now = datetime.now(timezone.utc)
        else:
            answer = self._client.admin.command("hello")
            now = answer.get("localTime")
            if not isinstance(now, datetime):
                raise ConfigurationError("The database server does not tell its time: hello has no localTime")
            if now.tzinfo is None:  # commands decode with the driver's defaults, which are naive UTC
                now = now.replace(tzinfo=timezone.utc)
        moment: datetime = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return moment


class MonotonicClock:
    """A clock whose `next()` never repeats within this process, for `calculatedAt` of successive writes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: datetime | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The wrapped clock's time, unchanged."""
        return self._clock.now()

    def next(self) -> datetime:
        """The wrapped clock's time, but at least one millisecond after the value given before."""
        now = self._clock.now()
        with self._lock:
            if self._last is not None and now <= self._last:
                now = self._last + _MILLISECOND
            self._last = now
            return now


def _embedded(uri: str) -> MongoClient[dict[str, Any]]:
    mongomock: Any = import_module("mongomock")
    with _embedded_lock:
        if uri not in _embedded_clients:
            _accept_sort_in_bulk()
            _embedded_clients[uri] = cast("MongoClient[dict[str, Any]]", mongomock.MongoClient(tz_aware=True))
        return _embedded_clients[uri]


def _accept_sort_in_bulk() -> None:
    """Let mongomock 4.3 take the updates of pymongo ≥ 4.11, which always pass `sort`.

    Without it every `bulk_write` with an UpdateOne raises TypeError. Dropping the argument is right for us:
    no update of this service sorts.
    """
    builder: Any = import_module("mongomock.collection").BulkOperationBuilder
    original = builder.add_update
    if getattr(original, "drops_sort", False):
        return

    def add_update(self: Any, *arguments: Any, **options: Any) -> Any:
        options.pop("sort", None)
        return original(self, *arguments, **options)

    add_update.drops_sort = True  # type: ignore[attr-defined]
    builder.add_update = add_update
