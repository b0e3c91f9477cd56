"""Who owns a deployment's dead letters and metrics: the database or folder where its results lie.

The name is for people. The place counts too, as a hash: two servers may have databases of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from settings import Settings
from sinks.dead_letters import Owner
from sources.mongo_client import hosts_of

_SEARCH_PATH = re.compile(r"search_path=(\S+)")
# This machine's own server, by whatever way; a path is that of a socket.
_HERE = re.compile(r"localhost|127[.]0[.]0[.]1|::1|/.*|")


def owner_of(pipeline: str, settings: Settings) -> Owner:
    """The owner for the pipeline of that name. Never raises, and asks no server."""
    match pipeline:
        case "health":
            name = f"{settings.mongo_db_name}.{settings.analytics_collection}"
            return Owner.of(name, hosts_of(settings.mongo_uri.get_secret_value()))
        case "stock":
            return Owner.of(settings.stock_db_name, hosts_of(settings.mongo_uri.get_secret_value()))
        case "esports":
            folder = settings.esports_output_path.absolute()
            return Owner.of(folder.name, [folder.as_posix()])
        case _:
            return _of_postgres(settings.postgres_dsn.get_secret_value())


def _of_postgres(dsn: str) -> Owner:
    # Only this pipeline needs the driver.
    import psycopg

    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
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
