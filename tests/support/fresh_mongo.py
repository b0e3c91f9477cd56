"""Databases for single tests on the shared MongoDB-wire server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

_SERVER_TIMEOUT_MS = 60_000


@contextmanager
def fresh_mongo(uri: str) -> Iterator[Database[dict[str, Any]]]:
    """An empty database with a random name on the server of `uri`, gone after it; its times are aware."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri, tz_aware=True, serverSelectionTimeoutMS=_SERVER_TIMEOUT_MS, uuidRepresentation="standard"
    )
    name = f"test_{secrets.token_hex(8)}"
    try:
        yield client[name]
    finally:
        client.drop_database(name)
        client.close()
