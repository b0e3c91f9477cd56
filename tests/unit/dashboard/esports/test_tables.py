"""The esports pages read Delta tables as they read folders of Parquet."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from analytics.esports.rules import MATCHES
from contracts.object_store import ObjectStore
from dashboard.data.delta import Tables
from dashboard.data.esports_data import EsportsData, read_course, read_matches, read_players
from dashboard.esports import matches, players
from sinks.delta.compaction import compact_table
from tests.support.esports_dataset import Writer, match
from tests.support.shown import show, texts

_NOW = datetime.now(timezone.utc).replace(microsecond=0)
_NO_STORE = ObjectStore("", "", SecretStr(""), SecretStr(""), SecretStr(""))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """The same two days of a season, sparse, that end now: as folders, and as tables."""
    folder = tmp_path_factory.mktemp("both")
    for delta in ("", str(folder / "lake")):
        writer = Writer(folder, delta)
        writer.season(6, _NOW - timedelta(days=9))
        # Whoever looked at all that is live would show it for ever.
        writer.add_rows(MATCHES, [match(1)], _NOW - timedelta(days=2))
        writer.season(20, _NOW - timedelta(hours=1))
    return folder, Tables(str(folder / "lake"), _NO_STORE)


def _same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_tables_are_read_as_folders_are(both: tuple[Path, Tables], tmp_path: Path) -> None:
    """The same rows, also after a compaction, and the age of the newest batch, which is no compaction's."""
    folder, tables = both
    copied = Tables(str(tmp_path / "lake"), _NO_STORE)
    shutil.copytree(str(tables), str(copied))
    newest = read_matches(copied / "matches").newest
    for name in ("matches", "players"):
        assert compact_table((copied / name).address, {}, 0) is not None
    for there in (tables, copied):
        _same(read_matches(there / "matches").rows, read_matches(folder / "matches").rows)
        _same(read_players(there / "players").rows, read_players(folder / "players").rows)
        match_id = read_matches(folder / "matches").rows["match_id"][0]
        course = read_course(folder / "matches", match_id)
        _same(read_course(there / "matches", match_id), course)
        assert len(course)
    recent, ever = ((tables / "matches").find({"*": span}).files for span in (7_200.0, 1e9))
    assert 0 < recent < ever
    assert newest is not None
    assert read_matches(copied / "matches").newest == newest


def test_the_pages_show_tables_and_say_what_is_wrong(
    both: tuple[Path, Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing there, a broken table, and a package that is missing: one sentence each, without a path."""
    assert len(show(matches.render, EsportsData(both[1])).table) > 3
    empty = show(matches.render, EsportsData(Tables(str(tmp_path / "none"), _NO_STORE)))
    assert "holds no batch" in texts(empty)
    shutil.copytree(str(both[1]), str(tmp_path / "lake"))
    for entry in (tmp_path / "lake" / "players" / "_delta_log").iterdir():
        entry.write_text("no log")
    broken = EsportsData(Tables(str(tmp_path / "lake"), _NO_STORE))
    shown = show(players.render, broken)
    assert not shown.exception
    assert "cannot be read" in shown.error[0].value
    assert str(tmp_path) not in shown.error[0].value
    monkeypatch.setitem(sys.modules, "deltalake", None)
    assert "deltalake is not installed" in (EsportsData(both[1]).matches().fault or "")
