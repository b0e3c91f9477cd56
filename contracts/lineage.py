"""From where to where records go, in the names of OpenLineage's specification (its page Naming)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Dataset(NamedTuple):
    """A dataset as every tool names it: `namespace` is its server, without any secret."""

    namespace: str
    name: str


class Lineage(NamedTuple):
    """What a stream reads and what it writes."""

    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]


def topic(server: str, name: str) -> Dataset:
    """Returns a topic of Kafka, whose bootstrap server is `host:port`; of several the first counts."""
    return Dataset(f"kafka://{server.partition(',')[0].strip()}", name)


def collection(host: str, database: str, name: str) -> Dataset:
    """Returns a collection of the MongoDB at `host`, `host:port`."""
    return Dataset(f"mongodb://{host}", f"{database}.{name}")


def table(host: str, database: str, schema: str, name: str) -> Dataset:
    """Returns a table of the PostgreSQL at `host`, `host:port`."""
    return Dataset(f"postgres://{host}", f"{database}.{schema}.{name}")


def folder(path: Path) -> Dataset:
    """Returns a folder of files."""
    return Dataset("file", path.absolute().as_posix())
