"""Who owns the e-commerce pipeline's dead letters and metrics: the schema where its events lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from settings import Settings
from sinks.dead_letters import Owner

_SEARCH_PATH = re.compile(r"search_path=(\S+)")
# This machine's own server, by whatever way; a path is that of a socket.
_HERE = re.compile(r"localhost|127[.]0[.]0[.]1|::1|/.*|")


class Place(NamedTuple):
    """A schema of a database on the first of `hosts`, `host:port` each; `schema` is empty for the default."""

    hosts: list[str]
    database: str
    schema: str


def owner(settings: Settings) -> Owner:
    """From the text of POSTGRES_DSN alone. Never raises, and asks no server."""
    found = place(settings)
    return Owner.of(".".join(filter(None, (found.database, found.schema))), found.hosts)


def place(settings: Settings) -> Place:
    """Where the events lie, without any secret. Never raises, and asks no server."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(settings.postgres_dsn.get_secret_value())
    except psycopg.ProgrammingError:
        parts = {}  # connecting will say what is wrong with it
    schema = _SEARCH_PATH.search(str(parts.get("options", "")))
    hosts = _places(str(parts.get("host", "")), str(parts.get("port", "")))
    return Place(list(hosts), str(parts.get("dbname", "postgresql")), schema[1] if schema else "")


def _places(hosts: str, ports: str) -> Iterable[str]:
    names, numbers = hosts.lower().split(","), ports.split(",")
    if len(numbers) < len(names):
        numbers = numbers * len(names)
    return (
        f"{'127.0.0.1' if _HERE.fullmatch(name) else name}:{number or 5432}"
        for name, number in zip(names, numbers, strict=False)
    )
