"""The accountant's door."""

from __future__ import annotations

import pytest

from accounting.password import Door
from contracts import ConfigurationError
from settings import load


def test_only_the_password_opens() -> None:
    """Neither nothing, nor a part of it, nor more; any character may be in it."""
    door = Door("corréct horse")
    assert [door.refusal(given) for given in ("", "corréct", "corréct horse ")] == [
        "The password is wrong."
    ] * 3
    assert door.refusal("corréct horse") is None
    assert door.refusal("half a pair \ud800") == "The password is wrong."


def test_guessing_is_slow() -> None:
    """After five wrong passwords nobody gets in for half a minute, not even with the right one."""
    seconds = [0.0]
    door = Door("correct horse", monotonic=lambda: seconds[0])
    for _ in range(5):
        assert door.refusal("x") == "The password is wrong."
    assert door.refusal("correct horse") == "Too many wrong passwords. Try again in 31 seconds."
    seconds[0] = 30.1
    assert door.refusal("correct horse") is None


def test_a_short_password_is_refused_at_the_start_and_none_is_shown() -> None:
    """It must have eight characters; it is a secret of the settings."""
    with pytest.raises(ConfigurationError, match="ACCOUNTANT_PASSWORD: must have at least 8") as caught:
        load(env_file=None, accountant_password="hunter2")  # noqa: S106
    assert "hunter2" not in str(caught.value)
    settings = load(env_file=None, accountant_password="hunter22")  # noqa: S106
    assert "hunter22" in settings.secrets()
    assert "hunter22" not in repr(settings)
