"""What of an address is secret."""

from __future__ import annotations

import pytest

from contracts.secret_values import secrets_in_address


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("mongodb://host-user@db:27017/x", set()),
        ("postgresql://me@host/db", set()),
        ("mongodb://me@firm.com@host", set()),
        ("mongodb://app:@host", set()),
        ("mongodb://app:pw@host", {"app:pw", "pw"}),
        ("mongodb://app:pw%40host", {"app:pw", "pw", "app:pw%40host", "pw%40host"}),
        ("http://token@host/api", {"token", ""}),
        ("mongodb://me@host/?tlsCertificateKeyFilePassword=x", {"x"}),
    ],
)
def test_a_name_alone_is_no_secret_and_a_token_is(address: str, secrets: set[str]) -> None:
    """A masked name would also be masked where it is a word of any text."""
    assert set(secrets_in_address(address)) == secrets
