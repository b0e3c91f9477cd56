"""Errors whose message alone is meant for a person."""

from __future__ import annotations


class ServiceError(Exception):
    """Base of the errors whose message alone is meant for a person: what happened and the remedy."""


class ConfigurationError(ServiceError):
    """A setting or the machine is wrong; nothing was started. Exit code 2."""


class UnfitError(ConfigurationError):
    """Spark cannot run here; `found` says why, `remedy` what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}. {remedy}")
        self.found, self.remedy = found, remedy


class AccessDeniedError(ConfigurationError):
    """A server refused credentials or rights, or is not trusted; waiting mends nothing. Exit code 2."""

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(f"{found} {remedy}".strip())
        self.found, self.remedy = found, remedy


class AlreadyRunningError(ServiceError):
    """Another process holds the checkpoint. Exit code 2."""


class StoppedError(ServiceError):
    """A signal or a person's "no" ended a command before its end; what was done stays. Exit code 3."""


class UnavailableError(ServiceError):
    """A server stayed away for the whole retry policy; nothing was lost."""


class DeadLetterError(ServiceError):
    """A dead letter could not be stored, so its batch must fail: nothing is dropped."""
