"""Whom the accountant's page counts a wrong password for."""

from __future__ import annotations

import pytest

from dashboard.visitor import visitor


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
