"""The connection to MongoDB for reading, bounded in time, and its faults as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pymongo
from pydantic import SecretStr
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from certificates import why_untrusted
from monitoring.logs import get_logger, redact
from sinks.mongo_errors import denial, is_unauthorized
from sources.mongo_client import ServerClock, connect, is_mongomock
from told import told

logger = get_logger(__name__)

# A person waits for the page: finding the server, and everything that one read sends to it.
_CONNECT_MILLISECONDS = 3_000
_READ_SECONDS = 10.0


AnalyticsCollection = Collection[dict[str, Any]]
MongoDatabase = Database[dict[str, Any]]


def open_database(uri: SecretStr, name: str) -> MongoDatabase:
    """A database; the server is first contacted by the first read.

    The user of `uri` needs the role `read` on the database and no more.
    Raises ConfigurationError when the address cannot be used.
    """
    return connect(uri.get_secret_value(), _CONNECT_MILLISECONDS)[name]


def server_now(collection: AnalyticsCollection) -> datetime:
    """The time by the clock that `calculatedAt` is taken from."""
    return ServerClock(collection.database.client).now()


@contextmanager
def bounded(store: object) -> Iterator[None]:
    """End every read inside the block in time, also on a connection that hangs.

    `store` is the collection or database that is read.
    """
    if is_mongomock(store):
        yield
        return
    with pymongo.timeout(_READ_SECONDS):
        yield


def explain(error: Exception, database: str = "MONGO_DB_NAME") -> str:
    """Returns a sentence with the remedy for `error`; logs the details, as an address may hold secrets.

    `database` is the setting with the database's name.
    """
    logger.warning(f"The dashboard could not read from MongoDB: {redact(str(error))[:500]}")
    if isinstance(error, OperationFailure) and is_unauthorized(error):
        return f"MongoDB refuses the dashboard's user: give it the role read on {database}."
    if denial(error) is not None:
        return "MongoDB refuses the user name or password of DASHBOARD_MONGO_URI, or else MONGO_URI."
    if isinstance(error, OperationFailure) and "hint" in str(error).lower():
        return (
            "The analytics collection lacks an index that the dashboard needs: "
            f"start the service once ({told('once')}), it creates the indexes."
        )
    if why := why_untrusted(str(error)):
        return f"The certificate of MongoDB at DASHBOARD_MONGO_URI, or else MONGO_URI, {why}."
    name = type(error).__name__
    return (
        f"MongoDB does not answer ({name}): check that the server runs and that MONGO_URI, "
        f"or DASHBOARD_MONGO_URI, is right; {told('check')} tells more."
    )


FAULTS: tuple[type[Exception], ...] = (PyMongoError, OSError)
