"""Which of PostgreSQL's errors are tried again."""

from __future__ import annotations

import psycopg
import pytest

from sinks.ecommerce.connection import is_transient_postgres, is_transient_state

_PASSES = {
    "08006": "the connection broke",
    "40001": "a transaction that could not be serialised",
    "40P01": "a deadlock",
    "53300": "too many connections",
    "57P01": "the server stops",
    "57P02": "the server crashed",
    "57P03": "the server starts",
    "57P05": "an idle session was ended",
    "25006": "a replica that is to be promoted, or a server whose disk is full",
}
_STAYS = {
    "28P01": "a wrong password",
    "3D000": "no such database",
    "42501": "a right that is missing",
    "22021": "a character that cannot be stored",
    "23505": "a unique index of somebody else",
    "57014": "a statement that was cancelled",
}


@pytest.mark.parametrize("state", _PASSES)
def test_what_passes_by_itself_is_tried_again(state: str) -> None:
    """Whatever class psycopg gives it; on an executor only the state travels."""
    assert is_transient_postgres(psycopg.errors.lookup(state)("in any language")), _PASSES[state]
    assert is_transient_state(state)


@pytest.mark.parametrize("state", _STAYS)
def test_what_a_person_has_to_mend_is_not(state: str) -> None:
    """Nor is a bug."""
    assert not is_transient_postgres(psycopg.errors.lookup(state)("in any language")), _STAYS[state]
    assert not is_transient_state(state)


def test_a_connection_that_is_lost_has_no_state() -> None:
    """As with a server that hangs."""
    assert is_transient_postgres(psycopg.OperationalError("the server does not answer any more"))
    assert is_transient_state(None)
