"""Addresses that people set: each function returns its value, or raises ValueError. And whose they are."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr


def mongo_uri(value: SecretStr) -> SecretStr:
    """The address of a MongoDB, or of the embedded store."""
    if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://", "mongomock://")):
        raise ValueError("must start with mongodb://, mongodb+srv:// or mongomock:// (embedded)")
    return value


def postgres_dsn(value: SecretStr) -> SecretStr:
    """The address of a PostgreSQL."""
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    return value


def http_address(value: str) -> str:
    """The address of a service of the web."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def http_address_if_any(value: str) -> str:
    """The address of a service of the web, or none."""
    return http_address(value) if value else value


def secret_address(value: SecretStr) -> SecretStr:
    """An address of HTTP that may hold secrets, or none."""
    if text := value.get_secret_value():
        http_address(text)
        if not re.fullmatch(r"https?://([^\s/@]*@)?[^\s/@:]+(:[0-9]{1,5})?([/?][!-~]*)?", text):
            raise ValueError("must be an address such as https://host/path, without spaces")
    return value


def host_ports(value: str) -> str:
    """One or more servers with their ports."""
    if not all(re.fullmatch(r"[^\s,/@%]+:[0-9]+", part.strip()) for part in value.split(",")):
        raise ValueError("must be host:port, several separated by commas")
    return value


def is_this_machine(url: str) -> bool:
    """Whether `url` names the machine that asks, by whatever name of it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # 127.1 is one too.
        number = ip_address(host if ":" in host else socket.inet_aton(host))
    except (OSError, ValueError):
        return False
    return number.is_loopback or number.is_unspecified
