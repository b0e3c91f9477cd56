"""What a cursor claims to have processed, by the writers' own record."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from bson import ObjectId

from tests.chaos.journal import Committed, Journal

USER, OTHER = ObjectId(), ObjectId()
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def _at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def _journal(user: ObjectId, updated: float, began: float, acknowledged: float) -> Journal:
    journal = Journal()
    journal.add("document", Committed(user, _at(updated), _at(began), _at(acknowledged)))
    return journal


def test_a_version_before_the_cursor_is_claimed() -> None:
    """Visible before the poll and dated before its end: the user must have been computed since."""
    assert _journal(USER, 1, 1, 2).claimed(_at(3)) == {USER: _at(1)}


def test_a_version_at_the_cursor_is_not_yet_claimed() -> None:
    """The rest of a group of equal timestamps may lie on the next page."""
    assert _journal(USER, 3, 1, 2).claimed(_at(3)) == {}


def test_a_late_commit_is_not_claimed_by_a_cursor_before_it() -> None:
    """It became visible after the poll that ended at the cursor; a later poll finds it in the overlap."""
    assert _journal(USER, 1, 4, 5).claimed(_at(3)) == {}


def test_a_document_that_is_being_written_is_not_claimed() -> None:
    """Nobody knows which version the poll saw."""
    journal = _journal(USER, 1, 1, 2)
    with journal.writing(["document"], [USER]):
        assert journal.claimed(_at(3)) == {}
    journal.add("document", Committed(USER, _at(1), _at(1), _at(2)))
    assert journal.settled(_at(3)) == {USER}


def test_only_users_without_open_changes_are_settled() -> None:
    """One document that the cursor does not claim keeps its user out, and so does a write under way."""
    journal = _journal(USER, 1, 1, 2)
    journal.add("another", Committed(OTHER, _at(9), _at(9), _at(9)))
    assert journal.settled(_at(3)) == {USER}
    with journal.writing([], [USER]):
        assert journal.settled(_at(3)) == set()
