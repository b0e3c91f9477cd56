"""Equal fingerprints are of the same versions of the same days, however they were read."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.health.basis import Fingerprint
from analytics.health.past import EVER, NOTHING, Past
from analytics.health.validation import DayRules
from analytics.health.versions_read import VersionsRead, whole, with_fingerprints
from sources.health.layouts import Layouts
from sources.health.replies import decoded

_TODAY = date(2026, 7, 1)
_DAY = _TODAY.toordinal() - date(1970, 1, 1).toordinal()
_USERS = [ObjectId(bytes([number]) * 12) for number in range(3)]
_Document = dict[str, Any]


def _rules(zone: str = "UTC") -> DayRules:
    return DayRules(zone, today=_TODAY)


def _document(user: int, back: int, hour: int, updated: int) -> _Document:
    midnight = datetime(_TODAY.year, _TODAY.month, _TODAY.day, tzinfo=timezone.utc)
    return {
        "_id": ObjectId(),
        "userId": _USERS[user],
        "date": midnight - timedelta(days=back) + timedelta(hours=hour),
        "updatedAt": midnight + timedelta(milliseconds=updated),
    }


_DOCUMENTS = st.lists(
    st.builds(
        _document, st.integers(0, 2), st.integers(-3, 40), st.sampled_from([0, 0, 1, 23]), st.integers(0, 5)
    ),
    max_size=30,
)


def _read(documents: list[_Document], as_rows: bool, zone: str = "UTC") -> VersionsRead:
    read = VersionsRead(_rules(zone), _USERS)
    if as_rows:
        rows, others = Layouts(decoded).sort(b"".join(map(bson.encode, documents)))
        list(read.watch([*rows, *map(decoded, others)]))
    else:
        list(read.watch(documents))
    return read


@settings(max_examples=100, deadline=None)
@given(
    documents=_DOCUMENTS, seed=st.integers(0, 99), cut=st.integers(-5, 45),
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]),
)  # fmt: skip
def test_order_layout_and_parts_do_not_matter(
    documents: list[_Document], seed: int, cut: int, zone: str
) -> None:
    """Read at once or in two parts, before and after any day, as rows or one by one."""
    expected = _read(documents, False, zone)
    shuffled = random.Random(seed).sample(documents, len(documents))
    found = _read(shuffled, True, zone)
    assert found.users == expected.users == _USERS
    assert found.fingerprints() == expected.fingerprints()
    assert found.newest() == expected.newest()
    days = [_DAY - cut] * len(_USERS)
    older, later = found.fingerprints(before=days), found.fingerprints(first=days)
    assert [one + two for one, two in zip(older, later, strict=True)] == expected.fingerprints()


def _counts(document: _Document, user: ObjectId, last: datetime) -> bool:
    return bool(document["userId"] == user and document["date"] < last)


@settings(max_examples=100, deadline=None)
@given(documents=_DOCUMENTS, others=_DOCUMENTS)
def test_other_versions_have_another_fingerprint(documents: list[_Document], others: list[_Document]) -> None:
    """Of the documents that have a day which is not later than tomorrow."""

    def versions(some: list[_Document]) -> list[list[Any]]:
        last = datetime(2026, 7, 3, tzinfo=timezone.utc)
        return [
            sorted((one["date"], one["updatedAt"]) for one in some if _counts(one, user, last))
            for user in _USERS
        ]

    same = [one == two for one, two in zip(versions(documents), versions(others), strict=True)]
    found = zip(_read(documents, True).fingerprints(), _read(others, False).fingerprints(), strict=True)
    assert [one == two for one, two in found] == same


@settings(max_examples=50, deadline=None)
@given(documents=_DOCUMENTS, first=st.integers(0, 45), second=st.integers(0, 45))
def test_a_past_that_moves_takes_its_days_along(documents: list[_Document], first: int, second: int) -> None:
    """What is read next has the later days alone, and both together are the whole history."""
    everything = _read(documents, True).fingerprints()
    pasts = [NOTHING] * len(_USERS)
    for back in sorted([first, second], reverse=True):
        horizon = _DAY - back
        recent = [
            one for one in documents
            if pasts[0].before == EVER or (_TODAY - one["date"].date()).days <= _DAY - pasts[0].before
        ]  # fmt: skip
        read = _read(recent, True)
        assert whole(pasts, read) == everything
        pasts = with_fingerprints([Past(horizon)] * len(_USERS), pasts, read)


@pytest.mark.parametrize(
    "change",
    [{"userId": "text"}, {"date": "2026-07-01"}, {"date": None}, {"updatedAt": 5}, {"userId": [_USERS[0]]}],
)
def test_what_has_no_day_is_left_out(change: _Document) -> None:
    """It gives no results, whoever looks at it."""
    read = VersionsRead(_rules())
    read.note({**_document(0, 0, 0, 0), **change})
    assert (read.users, read.fingerprints(), read.newest()) == ([], [], [])
    assert _read([], True).fingerprints() == [Fingerprint()] * len(_USERS)
