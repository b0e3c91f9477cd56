"""The back-off policy: how often, how long, and what passes at once."""

from __future__ import annotations

import pytest

from contracts import UnavailableError
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.stop_flag import StopFlag
from retry import RetryPolicy
from settings import load


def test_a_transient_failure_is_tried_again_with_bounded_waits() -> None:
    """The third try succeeds; waits never exceed the bound."""
    waits: list[float] = []
    failures = [ConnectionError("away"), ConnectionError("away")]

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    policy = RetryPolicy(attempts=5, base_seconds=0.5, max_seconds=0.7)
    assert policy.call(work, lambda error: isinstance(error, ConnectionError), waits.append) == "done"
    assert len(waits) == 2
    assert all(0 <= wait <= 0.7 for wait in waits)


def test_after_the_last_try_the_error_says_that_nothing_is_lost() -> None:
    """The driver's text, which may hold an address, is not repeated."""

    def work() -> None:
        raise ConnectionError("mongodb://app:hunter2@host")

    with pytest.raises(UnavailableError, match="ConnectionError") as caught:
        RetryPolicy(attempts=2).call(work, lambda _: True, lambda _: None)
    assert "hunter2" not in str(caught.value)
    assert "nothing was lost" in str(caught.value)
    # Only one pipeline has one.
    assert "cursor" not in str(caught.value)


def test_an_error_that_is_not_transient_passes_at_once() -> None:
    """A bug or a wrong password does not get better by waiting."""
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        RetryPolicy(attempts=3).call(work, lambda error: isinstance(error, ConnectionError))
    assert len(calls) == 1


@pytest.mark.parametrize("asked_after", [1, 2])
def test_who_gives_up_waits_for_no_further_try(asked_after: int) -> None:
    """Asked during a try or during the pause after it: the try under way is the last."""
    tries: list[int] = []
    asked: list[bool] = []

    def work() -> None:
        tries.append(1)
        if asked_after == 1:
            asked.append(True)
        raise ConnectionError("away")

    def sleep(_seconds: float) -> None:
        asked.append(True)

    with pytest.raises(UnavailableError, match="after 1 try "):
        RetryPolicy(attempts=9, give_up=lambda: bool(asked)).call(work, lambda _: True, sleep)
    assert len(tries) == 1


def test_a_stop_ends_the_pause_and_the_tries_of_a_policy() -> None:
    """Of any pipeline's batch: it does not wait for all the time-outs of a server that is away."""
    stop, tries = StopFlag(), list[int]()

    def work() -> None:
        tries.append(1)
        stop.set()
        raise ConnectionError("away")

    with pytest.raises(UnavailableError, match="after 1 try "):
        RetryPolicy(attempts=9, base_seconds=60).until(stop).call(work, lambda _: True)
    assert len(tries) == 1


def test_the_settings_are_the_policy() -> None:
    """All three of them, and who is told of a try that failed."""
    told: list[BaseException] = []
    settings = load(env_file=None, retry_attempts=2, retry_base_seconds=0.25, retry_max_seconds=0.75)
    policy = retry_policy(settings, told.append)
    assert policy == RetryPolicy(2, 0.25, 0.75)
    error = ConnectionError("away")
    policy.on_retry(error)
    assert told == [error]
    retry_policy(settings).on_retry(error)
