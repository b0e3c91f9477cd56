"""Where a visitor of the page comes from, also through a proxy, and which time is his."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

_THIS_HOST = "this host"


def visitor(address: str | None, headers: Mapping[str, str]) -> tuple[str, str]:
    """The address of the connection, and of whom a proxy there names as behind it ("" without one).

    `address` is None for this host. Only a proxy on this host or in a private network is believed, and of
    what it was told itself only its own word, which is the last one.
    """
    if not _is_near(address):
        return str(address), ""
    named = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return address or _THIS_HOST, named[:100]


def reader_zone() -> ZoneInfo | None:
    """The time zone of the reader's browser; None where that does not tell, or tells one unknown here."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Whatever a browser sends: a name, a path, or nothing of sense.
        return None


def _is_near(address: str | None) -> bool:
    try:
        return address is None or ipaddress.ip_address(address).is_private
    except ValueError:
        return False
