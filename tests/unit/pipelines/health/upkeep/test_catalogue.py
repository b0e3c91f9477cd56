"""Another catalogue than that of the stored results is told at the start, until a full pass."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from bson import ObjectId

from checkpoint.cursor import FileCursor
from pipelines.health.upkeep.catalogue import changed_catalogue
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from tests.support.catalogues import PULSE, catalogue

_NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)
_USERS = UserIds([ObjectId(f"{number:024x}") for number in range(4)])


@pytest.fixture
def store(tmp_path: Path) -> FileCursor:
    """Notes of a run that made no full pass yet."""
    return FileCursor(tmp_path, 30)


def _pass(store: FileCursor, pieces: int) -> int:
    """Work off some `pieces` of two users; returns how many users were done at the begin."""
    progress = PassProgress(store, lambda _users: 2)
    progress.begin(_USERS, _NOW)
    done = progress.position[0]
    for _ in range(pieces):
        if users := progress.piece():
            progress.advance(users, lambda _seconds: None)
    if not progress.piece():
        progress.end(_NOW)
    return done


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PULSE, "restingHeartRate is new"),
        ("[weight]\nuse = no\n", "weight is taken away"),
        ("[steps]\nstreak = > 5000\n[weight]\nbetter = less\n", "steps and weight are of other rules"),
        ("[steps]\nlabel = Schritte\ntell_silent_days = 3\nleast_effect = 1\n", None),
    ],
    ids=["new", "away", "rules", "words"],
)
def test_it_is_told_until_all_results_are_computed(store: FileCursor, content: str, told: str | None) -> None:
    """In one sentence with the command; what changes no result is not told."""
    assert changed_catalogue(store) is None
    with catalogue(content):
        for _ in range(2):
            sentence = changed_catalogue(store)
            assert (told in sentence and "batch --full" in sentence) if told and sentence else not told
        _pass(store, 2)
        assert changed_catalogue(store) is None
    assert bool(changed_catalogue(store)) == bool(told)


def test_a_pass_of_another_catalogue_is_not_gone_on_with(store: FileCursor) -> None:
    """Those who were computed by it would keep its results."""
    assert [_pass(store, 1), _pass(store, 0)] == [0, 2]
    with catalogue(PULSE):
        assert _pass(store, 1) == 0
        assert _pass(store, 0) == 2
