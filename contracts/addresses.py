"""Addresses that people set: each function returns its value, or raises ValueError."""

from __future__ import annotations

import re

from pydantic import SecretStr


def mongo_uri(value: SecretStr) -> SecretStr:
    """The address of MongoDB, or of the embedded one."""
    if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://", "mongomock://")):
        raise ValueError("must start with mongodb://, mongodb+srv:// or mongomock:// (embedded)")
    return value


def http_address(value: str) -> str:
    """The address of a server of HTTP."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def postgres_dsn(value: SecretStr) -> SecretStr:
    """The address of a database of PostgreSQL."""
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    return value


def host_ports(value: str) -> str:
    """One or more servers, each with its port."""
    if not all(re.fullmatch(r"[^\s,/@%]+:[0-9]+", part.strip()) for part in value.split(",")):
        raise ValueError("must be host:port, several separated by commas")
    return value
