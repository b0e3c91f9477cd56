"""Whom the accountant's page counts a wrong password for."""

from __future__ import annotations

from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from dashboard.visitor import reader_zone, visitor


@pytest.mark.parametrize(
    ("address", "forwarded", "who"),
    [
        (None, None, ("this host", "")),
        (None, "198.51.100.7", ("this host", "198.51.100.7")),
        ("172.18.0.1", "1.1.1.1, 198.51.100.7", ("172.18.0.1", "198.51.100.7")),
        ("8.8.8.8", "1.1.1.1", ("8.8.8.8", "")),
        ("no address", "1.1.1.1", ("no address", "")),
        ("fd00::1", " x" * 500, ("fd00::1", ("x " * 50)[:100])),
    ],
)
def test_a_proxy_that_is_near_is_believed_and_nobody_else(
    address: str | None, forwarded: str | None, who: tuple[str, str]
) -> None:
    """What a visitor from outside says of himself does not make him another one."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert visitor(address, headers) == who


@pytest.mark.parametrize("name", [None, "", "Nowhere/Here", "../../etc/passwd", "Europe", "\0", "x" * 5_000])
def test_what_is_no_zone_is_none(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser may send anything."""
    monkeypatch.setattr("dashboard.visitor.st.context", SimpleNamespace(timezone=name))
    assert reader_zone() is None


def test_the_readers_zone_is_the_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its IANA name."""
    monkeypatch.setattr("dashboard.visitor.st.context", SimpleNamespace(timezone="Asia/Kathmandu"))
    assert reader_zone() == ZoneInfo("Asia/Kathmandu")
