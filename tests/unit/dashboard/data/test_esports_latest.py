"""What is read bit by bit is what would be read at once."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from analytics.esports.rules import MATCHES
from dashboard.data import esports_latest
from dashboard.data.esports_latest import LatestRows
from dashboard.data.parquet import Files, find_files, read
from tests.support.esports_dataset import Writer, match

_COLUMNS = ["match_id", "status", "team_1_gold"]
_SPAN = 600.0


def _files(output: Path) -> Files:
    return find_files(output / "matches", {"live": _SPAN})


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 12, 31, 23, 55, tzinfo=timezone.utc),
        datetime(2026, 10, 25, 0, 55, tzinfo=timezone.utc),
        datetime(2028, 2, 28, 23, 55, tzinfo=timezone.utc),
    ],
    ids=["new year", "clocks put back", "leap day"],
)
@pytest.mark.parametrize("most", [3, 100])
def test_it_equals_a_read_of_everything(tmp_path: Path, start: datetime, most: int) -> None:
    """Batch by batch, while old ones leave the span, keys come again, and more of them than are kept."""
    rng, writer, kept = random.Random(most), Writer(tmp_path), LatestRows(_COLUMNS, _SPAN, most)
    at = start
    for _ in range(12):
        at += timedelta(seconds=rng.choice([1, 90, 400]))
        rows = [match(rng.randrange(8), team_1_gold=rng.randrange(99)) for _ in range(rng.randrange(1, 4))]
        folder = writer.add_rows(MATCHES, rows, at)
        os.utime(folder, (at.timestamp(), at.timestamp()))
        found, whole = kept.of(_files(tmp_path)), LatestRows(_COLUMNS, _SPAN, most).of(_files(tmp_path))
        pd.testing.assert_frame_equal(found, whole, check_dtype=False)
        assert len(found) <= most


def test_only_new_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another generation all are: what was merged, or taken out, is to be seen anew."""
    opened: list[int] = []

    def watched(files: Files, *rest: object) -> pd.DataFrame:
        opened.append(len(files.paths))
        return read(files, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(esports_latest, "read", watched)
    writer, kept, now = Writer(tmp_path), LatestRows(_COLUMNS, _SPAN, 9), datetime.now(timezone.utc)
    for number in range(3):
        writer.add_rows(MATCHES, [match(number)], now)
    kept.of(_files(tmp_path))
    kept.of(_files(tmp_path))
    writer.add_rows(MATCHES, [match(9)], now)
    assert len(kept.of(_files(tmp_path))) == 4
    assert opened == [3, 1]
    other = Writer(tmp_path / "merged")
    other.add_rows(MATCHES, [match(7)], now)
    assert list(kept.of(_files(tmp_path / "merged"))["match_id"]) == ["M7"]
    assert opened == [3, 1, 1]
