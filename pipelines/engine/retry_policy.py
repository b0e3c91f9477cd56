"""Makes every pipeline's retry policy from the settings."""

from __future__ import annotations

from collections.abc import Callable

from retry import RetryPolicy
from settings import Settings


def retry_policy(
    settings: Settings, on_retry: Callable[[BaseException], None] = lambda _error: None
) -> RetryPolicy:
    """The policy of RETRY_ATTEMPTS, RETRY_BASE_SECONDS and RETRY_MAX_SECONDS.

    `on_retry` is handed each error after which the work is tried again.
    """
    return RetryPolicy(
        settings.retry_attempts, settings.retry_base_seconds, settings.retry_max_seconds, on_retry
    )
