"""Who owns the e-commerce pipeline's dead letters and metrics: the schema where its events lie."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psycopg

from settings import Settings
from sinks.dead_letters import Owner

_SEARCH_PATH = re.compile(r"search_path=(\S+)")
# This machine's own server, by whatever way; a path is that of a socket.
_HERE = re.compile(r"localhost|127[.]0[.]0[.]1|::1|/.*|")


def owner(settings: Settings) -> Owner:
    """From the text of POSTGRES_DSN alone. Never raises, and asks no server."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(settings.postgres_dsn.get_secret_value())
    except psycopg.ProgrammingError:
        parts = {}  # connecting will say what is wrong with it
    schema = _SEARCH_PATH.search(str(parts.get("options", "")))
    name = ".".join([str(parts.get("dbname", "postgresql")), *(schema.groups() if schema else ())])
    return Owner.of(name, _places(str(parts.get("host", "")), str(parts.get("port", ""))))


def _places(hosts: str, ports: str) -> Iterable[str]:
    names, numbers = hosts.lower().split(","), ports.split(",")
    if len(numbers) < len(names):
        numbers = numbers * len(names)
    return (
        f"{'127.0.0.1' if _HERE.fullmatch(name) else name}:{number or 5432}"
        for name, number in zip(names, numbers, strict=False)
    )
