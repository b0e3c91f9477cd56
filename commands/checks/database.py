"""Checks of MongoDB: reachable, rights, indexes and clock."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from statistics import median
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from certificates import remedy, why_untrusted
from commands.checks.result import CheckResult, Looks, after, bounded, failed, ok, skipped, warning
from commands.common import mongo_fault
from contracts import ConfigurationError
from contracts.health import SOURCE_COLLECTION
from settings import Settings
from sinks.health.indexes import duplicate_keys, missing_indexes, obstacle
from sinks.health.versions import require_known_results
from sinks.mongo_errors import is_unauthorized
from sources.health.inspection import has_index_on
from sources.health.poll import MongoPoll
from sources.mongo_client import ServerClock, connect, is_mongomock, passed_over

_TIMEOUT_MS = 5_000
_AUTHENTICATION_FAILED = 18
_SKEW_SECONDS = 2.0
_CLOCK_TRIES = 3
_PROBE_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True)
class Database:
    """The database that the checks look at; `reachable` contacts the server first."""

    settings: Settings
    client: MongoClient[dict[str, Any]]

    @classmethod
    def open(cls, settings: Settings) -> Database:
        """Raises ConfigurationError when MONGO_URI cannot be used."""
        patience = min(_TIMEOUT_MS, round(settings.mongo_timeout_seconds * 1000))
        return cls(settings, connect(settings.mongo_uri.get_secret_value(), patience))

    @property
    def source(self) -> Collection[dict[str, Any]]:
        """The backend's documents."""
        return self.client[self.settings.mongo_db_name][SOURCE_COLLECTION]

    @property
    def target(self) -> Collection[dict[str, Any]]:
        """Our documents."""
        return self.client[self.settings.mongo_db_name][self.settings.analytics_collection]

    def now(self) -> datetime:
        """The server's time."""
        return ServerClock(self.client).now()

    def granted(self) -> Mapping[str, Any]:
        """`connectionStatus.authInfo`: who we are, and where the server tells it, what we may do."""
        if is_mongomock(self.client):
            return {}
        status = self.client.admin.command({"connectionStatus": 1, "showPrivileges": True})
        return dict(status.get("authInfo", {}))


def on_server(settings: Settings, looks: Looks, name: str = "") -> Iterator[CheckResult]:
    """Check that a server answers (see `reachable`), then all that `looks` look at."""
    try:
        opened = Database.open(settings)
    except ConfigurationError as error:
        return after(failed("MongoDB", str(error), "Correct MONGO_URI."), looks)
    return after(bounded("MongoDB", partial(reachable, opened, name)), looks, opened)


def reachable(database: Database, name: str = "") -> CheckResult:
    """Check that a server answers; tell where, and its version; `name` is the database (MONGO_DB_NAME)."""
    setting = "STOCK_DB_NAME" if name else "MONGO_DB_NAME"
    name = name or database.settings.mongo_db_name
    if is_mongomock(database.client):
        return ok("MongoDB", "embedded store (mongomock), for trying out only")
    try:
        information = database.client.server_info()
        # Only what needs rights is refused to a stranger.
        database.client[name].command("connectionStatus")
    except PyMongoError as error:
        return failed("MongoDB", mongo_fault(error), _mongo_remedy(error))
    address = database.client.address
    where = f"{address[0]}:{address[1]}" if address else "a replica set"
    version = str(information.get("version", "unknown"))
    if "ferretdb" in information:
        version += f" (FerretDB {information['ferretdb'].get('version', '')})"
    found = f"{where} answers, version {version}, database {name}"
    if odd := passed_over(database.settings.mongo_uri.get_secret_value(), name, setting):
        return warning("MongoDB", f"{found}. {odd}", f"Let both name the same; only {setting} counts.")
    return ok("MongoDB", found)


def _mongo_remedy(error: PyMongoError) -> str:
    if why := why_untrusted(str(error)):
        return remedy(why, "MONGO_URI", "tlsCAFile of MONGO_URI")
    if isinstance(error, OperationFailure) and error.code == _AUTHENTICATION_FAILED:
        return "Correct user, password and authSource in MONGO_URI."
    if isinstance(error, ConnectionFailure):
        return "Start MongoDB, or correct MONGO_URI; a firewall or a wrong replicaSet looks the same."
    return "Correct MONGO_URI; the server must be MongoDB 4.4 or newer, or speak its protocol."


def can_read(database: Database) -> CheckResult:
    """Check the right to read the source, and that it holds something."""
    name = f"Read {database.source.name}"
    try:
        found = database.source.find_one({}, {"_id": 1})
    except OperationFailure as error:
        return _refused(name, error, f"Grant the user `read` on {database.settings.mongo_db_name}.")
    if found is None:
        return warning(
            name,
            "allowed, but the collection is empty or does not exist",
            "Set MONGO_DB_NAME to the backend's database; a new installation fills up by itself.",
        )
    return ok(name, "allowed")


def can_write(database: Database) -> CheckResult:
    """Check the rights to insert, read, update and delete results, with a document of no existing user.

    It looks like any result, in case the collection validates, and expires by itself if it cannot be deleted.
    """
    target = database.target
    name, key = f"Write {target.name}", {"_id": ObjectId()}
    grant = f"Grant the user `readWrite` on {database.settings.mongo_db_name}."
    try:
        target.insert_one({**key, **_probe(database.now())})
        seen = target.find_one(key)
        changed = target.update_one(key, {"$set": {"period": "week"}}).matched_count
        deleted = target.delete_one(key).deleted_count
    except OperationFailure as error:
        return _refused(name, error, grant)
    if not (seen and changed and deleted):
        return failed(name, "a document written is not found again", "Read from the primary: see MONGO_URI.")
    return ok(name, "insert, read, update and delete allowed")


def _probe(now: datetime) -> dict[str, Any]:
    # A user id of the year 1970, which no user can have.
    return {
        "userId": ObjectId(bytes(4) + secrets.token_bytes(8)),
        "metricType": "steps",
        "timeRange": "7day",
        "analytics": {"rollingAverage": 0.0, "trend": "stable", "anomalyDetected": False},
        "calculatedAt": now,
        "expiresAt": now + _PROBE_LIFETIME,
    }


def _refused(name: str, error: OperationFailure, remedy: str) -> CheckResult:
    reason = "not allowed" if is_unauthorized(error) else f"refused (code {error.code})"
    return failed(name, reason, remedy)


def result_indexes(database: Database) -> CheckResult:
    """Check the unique and the TTL index of the results, and whether a missing one can be created."""
    target, name = database.target, f"Indexes of {database.target.name}"
    require_known_results(target)
    if not (missing := missing_indexes(target)):
        return ok(name, "unique key and TTL are there")
    if found := obstacle(target):
        return failed(name, *found)
    if "analytics_unique_key" in missing and (twice := duplicate_keys(target)):
        return warning(
            name,
            f"several documents share a key, so the unique index cannot be built: {', '.join(twice)}",
            "Start the service once: it leaves the newest of them and creates the index.",
        )
    return _creatable(database, target, name, missing)


def poll_index(database: Database) -> CheckResult:
    """Check the index by which the poll reads."""
    source, name = database.source, f"Indexes of {database.source.name}"
    settings = database.settings
    if not MongoPoll(source, 0, 1).has_index():
        if settings.manage_source_index:
            return _creatable(database, source, name, ["{updatedAt: 1, _id: 1}"])
        return warning(
            name,
            "{updatedAt: 1, _id: 1} is missing and MANAGE_SOURCE_INDEX is false: every poll reads everything",
            f"mongosh: db.{source.name}.createIndex({{updatedAt: 1, _id: 1}})",
        )
    return ok(name, "the poll is indexed")


def history_index(database: Database) -> CheckResult:
    """Check that an index finds a user's history; it is the backend's to make."""
    source, name = database.source, f"Histories in {database.source.name}"
    if has_index_on(source, "userId"):
        return ok(name, "found by an index")
    return warning(
        name,
        "no index begins with userId: every recomputation reads everything",
        f"mongosh: db.{source.name}.createIndex({{userId: 1, date: 1}}, {{unique: true}})",
    )


def _creatable(
    database: Database, collection: Collection[dict[str, Any]], name: str, missing: list[str]
) -> CheckResult:
    detail = f"missing: {', '.join(missing)}"
    allowed = may(database.granted(), "createIndex", database.settings.mongo_db_name, collection.name)
    if allowed is False:
        return failed(
            name,
            f"{detail}, and this user may not create indexes",
            f"Grant the user `readWrite` on {database.settings.mongo_db_name}, or create them yourself.",
        )
    doubt = "" if allowed else " (whether this user may, the server does not tell)"
    return warning(name, detail, f"Start the service once: it creates what is missing{doubt}.")


def may(auth: Mapping[str, Any], action: str, database: str, collection: str) -> bool | None:
    """Whether `connectionStatus.authInfo` grants `action` there; None when it does not tell.

    Without authenticated users the server asks for no rights at all.
    """
    if not auth.get("authenticatedUsers"):
        return True
    privileges: Iterable[Mapping[str, Any]] | None = auth.get("authenticatedUserPrivileges")
    if privileges is None:
        return None
    return any(
        action in privilege.get("actions", ()) and _covers(privilege["resource"], database, collection)
        for privilege in privileges
    )


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    # An empty name stands for all of them.
    return bool(resource.get("anyResource")) or (
        resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
    )


def clock_skew(database: Database) -> CheckResult:
    """Check how far this machine's clock is from the server's, without half the way back and forth."""
    if is_mongomock(database.client):
        return skipped("Clocks", "the embedded store has none of its own")
    skews = []
    for _ in range(_CLOCK_TRIES):
        before, began = datetime.now(timezone.utc), time.monotonic()
        server = database.now()
        middle = before + timedelta(seconds=(time.monotonic() - began) / 2)
        skews.append((middle - server).total_seconds())
    skew = median(skews)
    detail = f"this machine is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} the server"
    if abs(skew) > _SKEW_SECONDS:
        return warning("Clocks", detail, "Let both follow NTP (chrony, systemd-timesyncd).")
    return ok("Clocks", detail)
