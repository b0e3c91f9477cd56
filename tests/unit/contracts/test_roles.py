"""The roles of people as a setting gives them."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from contracts.roles import roles_by_person
from settings import load


def test_roles_are_read_by_address_in_any_case() -> None:
    """Spaces and empty entries do not matter."""
    read = roles_by_person(" A@X.org = administrator , b@x.org=operator + accountant,")
    assert read == {"a@x.org": {"administrator"}, "b@x.org": {"operator", "accountant"}}
    assert roles_by_person("") == {}


@pytest.mark.parametrize(
    "text",
    ["a@x.org", "=operator", "a=operator", "a@x.org=", "a@x.org=root", "a@x.org=operator,A@x.org=operator"],
)
def test_what_gives_no_role_is_told_at_the_start(text: str) -> None:
    """A slip must not give a role, nor leave somebody without."""
    with pytest.raises(ConfigurationError, match="DASHBOARD_ROLES"):
        load(env_file=None, dashboard_roles=text)


@pytest.mark.parametrize("name", ["administrator_password", "operator_password", "letters_api_token"])
def test_a_short_secret_is_refused_and_none_is_shown(name: str) -> None:
    """A token is longer: nothing slows who guesses it."""
    least = 16 if name == "letters_api_token" else 8
    with pytest.raises(ConfigurationError, match=f"{name.upper()}: must have at least {least}") as caught:
        load(env_file=None, **{name: "hunter2".ljust(least - 1, "x")})
    assert "hunter2" not in str(caught.value)
    secret = "hunter2".ljust(least, "x")
    assert secret in load(env_file=None, **{name: secret}).secrets()
