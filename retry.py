"""The back-off policy as a value: how often, and how long between tries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import tenacity

from contracts import UnavailableError

T = TypeVar("T")


def _nothing(_error: BaseException) -> None:
    pass


def _never() -> bool:
    return False


class Stop(Protocol):
    """What asks a run to stop."""

    def __call__(self) -> bool:
        """Whether it did."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until it does."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` tries; between them a random wait up to base · 2ⁿ seconds, at most `max_seconds`.

    `call` passes each error to `on_retry` before it waits for its next try. Nothing is tried again once
    `give_up` says so.
    """

    attempts: int = 5
    base_seconds: float = 0.5
    max_seconds: float = 10.0
    on_retry: Callable[[BaseException], None] = field(default=_nothing, compare=False)
    sleep: Callable[[float], object] = field(default=time.sleep, compare=False)
    give_up: Callable[[], bool] = field(default=_never, compare=False)

    def until(self, stop: Stop) -> RetryPolicy:
        """The same policy for a run that may be stopped, which ends its waits."""
        return replace(self, sleep=stop.wait, give_up=stop)

    def pause(self, failures: int) -> float:
        """Returns the seconds to wait after `failures` in a row: random, at least half of the bound."""
        # 2**30 is beyond any bound, and a stream may fail for weeks.
        bound = min(self.max_seconds, self.base_seconds * 2.0 ** min(failures - 1, 30))
        return random.uniform(bound / 2, bound)

    def call(
        self,
        work: Callable[[], T],
        is_transient: Callable[[BaseException], bool],
        sleep: Callable[[float], object] | None = None,
    ) -> T:
        """Returns the result of `work`, tried again while it fails transiently and `give_up` says no.

        Raises UnavailableError when every try failed; an error that is not transient passes at once.
        """

        sleep, give_up = sleep or self.sleep, self.give_up

        def not_again(state: tenacity.RetryCallState) -> None:
            # A stop that was asked for during the pause is not made to wait for one more time-out.
            if state.attempt_number > 1 and give_up():
                raise _unavailable(state.attempt_number - 1, "stopped")

        def pause(seconds: float) -> None:
            sleep(seconds)

        retrying = tenacity.Retrying(
            stop=lambda state: state.attempt_number >= self.attempts or give_up(),
            wait=tenacity.wait_random_exponential(multiplier=self.base_seconds, max=self.max_seconds),
            retry=tenacity.retry_if_exception(is_transient),
            before_sleep=self._tell,
            sleep=pause,
            before=not_again,
        )
        try:
            return retrying(work)
        except tenacity.RetryError as error:
            attempt = error.last_attempt
            name = type(attempt.exception()).__name__
            raise _unavailable(attempt.attempt_number, name) from attempt.exception()

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            self.on_retry(error)


def _unavailable(tries: int, cause: str) -> UnavailableError:
    # Drivers' messages quote addresses and topology; the type is what helps, the log has the rest.
    return UnavailableError(
        f"No answer after {tries} {'try' if tries == 1 else 'tries'} ({cause}); nothing was lost, and the "
        "next trigger or run does it again."
    )
