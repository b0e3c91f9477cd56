"""What the text of a setting must be like; each function returns it, or raises ValueError."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from contracts.health import CHECKPOINT_COLLECTION, SOURCE_COLLECTION
from contracts.quiet_hours import parse


def known_zone(name: str) -> str:
    """An IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error
    return name


def seconds_or_auto(value: Any) -> Any:
    """`auto`, or whole seconds as an int; raises ValueError for anything else."""
    text = str(value).strip()
    if text == "auto":
        return text
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > 10**9:
        raise ValueError("must be auto, or a whole number of seconds from 0 to 1000000000")
    return int(text)


def source_names(value: str) -> str:
    """Names that documents have in `source`, separated by commas."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise ValueError("must be one or more names as documents have them in `source`, separated by commas")
    return ",".join(names)


def http_address(value: str) -> str:
    """An address of HTTP."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def postgres_dsn(value: SecretStr) -> SecretStr:
    """An address of PostgreSQL."""
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    return value


def host_ports(value: str) -> str:
    """Hosts with ports, separated by commas."""
    if not all(re.fullmatch(r"[^\s,/@%]+:[0-9]+", part.strip()) for part in value.split(",")):
        raise ValueError("must be host:port, several separated by commas")
    return value


def mongo_uri(value: SecretStr) -> SecretStr:
    """An address of MongoDB, or the embedded store's."""
    if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://", "mongomock://")):
        raise ValueError("must start with mongodb://, mongodb+srv:// or mongomock:// (embedded)")
    return value


def secret_address(value: SecretStr) -> SecretStr:
    """An address of HTTP that may hold secrets, or none."""
    if text := value.get_secret_value():
        http_address(text)
        if not re.fullmatch(r"https?://([^\s/@]*@)?[^\s/@:]+(:[0-9]{1,5})?([/?][!-~]*)?", text):
            raise ValueError("must be an address such as https://host/path, without spaces")
    return value


def quiet_hours(value: str) -> str:
    """Two times of day, or none."""
    parse(value)
    return value


def own_collection(name: str) -> str:
    """A collection that only this service writes to."""
    # The service deletes what it did not compute itself from the collection it writes to.
    if name in (SOURCE_COLLECTION, CHECKPOINT_COLLECTION) or name.startswith("system.") or "$" in name:
        raise ValueError(
            f"{name!r} cannot hold results: choose a collection that only this service writes to"
        )
    return name
