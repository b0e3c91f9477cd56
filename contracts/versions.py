"""Versions of what is stored: a program brings older ones forward, and leaves newer ones alone."""

from __future__ import annotations

from typing import Any

from contracts.errors import ConfigurationError


def require_known(found: Any, known: int, what: str, setting: str) -> None:
    """Raise ConfigurationError when `what`, a place that `setting` names, is of a version after `known`."""
    if isinstance(found, int) and found > known:
        raise ConfigurationError(
            f"{what} is of version {found}, and this program knows versions up to {known}: a newer one has "
            f"written there. Start that one, or name another place in {setting}. Nothing was changed."
        )
