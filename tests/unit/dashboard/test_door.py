"""The door of a role."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from dashboard.door import Door
from settings import load


def test_only_the_password_opens() -> None:
    """Neither nothing, nor a part of it, nor more; any character may be in it."""
    door = Door("corréct horse")
    assert [door.refusal(given) for given in ("", "corréct", "corréct horse ")] == [
        "The password is wrong."
    ] * 3
    assert door.refusal("corréct horse") is None
    assert door.refusal("half a pair \ud800") == "The password is wrong."


GUESSER, OTHERS = ("203.0.113.9", ""), [("203.0.113.8", ""), ("10.0.0.1", "203.0.113.9"), ("10.0.0.1", "")]


@pytest.mark.parametrize("guesser", [GUESSER, *OTHERS], ids=str)
def test_guessing_is_slow_for_the_guesser_alone(guesser: tuple[str, str]) -> None:
    """After five wrong passwords he waits for half a minute, also with the right one; others never do."""
    seconds = [0.0]
    door = Door("correct horse", monotonic=lambda: seconds[0])
    for _ in range(20):
        for _ in range(5):
            assert door.refusal("x", *guesser) == "The password is wrong."
        assert door.refusal("correct horse", *guesser) == "Too many wrong passwords. Try again in 31 seconds."
        for other in {GUESSER, *OTHERS} - {guesser}:
            assert door.refusal("correct horse", *other) is None
        seconds[0] += 30.1
    assert door.refusal("correct horse", *guesser) is None


def test_who_invents_visitors_behind_a_proxy_is_slowed_too() -> None:
    """A hundred tries, then that way in is shut, and no other one; what is remembered has a bound."""
    seconds = [0.0]
    door = Door("correct horse", monotonic=lambda: seconds[0])
    told = [door.refusal("x", "10.0.0.1", f"203.0.113.{number}") for number in range(120)]
    assert told.count("The password is wrong.") == 100
    assert door.refusal("correct horse", "10.0.0.2", "203.0.113.1") is None
    for number in range(20_000):
        door.refusal("x", f"2001:db8::{number:x}")
    assert len(door._guessers) <= 10_000


def test_a_short_password_is_refused_at_the_start_and_none_is_shown() -> None:
    """It must have eight characters; it is a secret of the settings."""
    with pytest.raises(ConfigurationError, match="ACCOUNTANT_PASSWORD: must have at least 8") as caught:
        load(env_file=None, accountant_password="hunter2")  # noqa: S106
    assert "hunter2" not in str(caught.value)
    settings = load(env_file=None, accountant_password="hunter22")  # noqa: S106
    assert "hunter22" in settings.secrets()
    assert "hunter22" not in repr(settings)
