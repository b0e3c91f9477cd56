"""The log of acts: one line each that says who did what, without secrets, for few to read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from monitoring.act_log import ActLog

NOW = datetime(2026, 11, 29, 23, 59, 59, tzinfo=timezone.utc)


def test_each_act_is_a_line_of_its_day_without_secrets(tmp_path: Path) -> None:
    """Whatever a name holds it stays one line; the group may read it, others may not."""
    now = [NOW]
    acts = ActLog(tmp_path / "logs", ["hunter2hunter2"], lambda: now[0])
    acts.write("a\nb hunter2hunter2", "retry", "health", "abcdef", "asked")
    acts.write("a", "retry", "health", "abcdef", "resolved")
    now[0] += timedelta(seconds=1)
    acts.write("a", "purge", "stock", "abcdef", "asked")
    first, second = sorted((tmp_path / "logs").iterdir())
    assert (first.name, second.name) == ("acts_20261129.jsonl", "acts_20261130.jsonl")
    assert [path.stat().st_mode & 0o777 & ~0o640 for path in (first, second)] == [0, 0]
    one, two = map(json.loads, first.read_text().splitlines())
    assert one == {
        "time": "2026-11-29T23:59:59.000Z",
        "who": "a\nb ***",
        "what": "retry",
        "pipeline": "health",
        "letter": "abcdef",
        "outcome": "asked",
    }
    assert two["outcome"] == "resolved"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Another file would be written to."""
    (tmp_path / "other").write_text("")
    (tmp_path / "acts_20261129.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="acts_20261129"):
        ActLog(tmp_path, now=lambda: NOW).write("a", "purge", "stock", "abcdef", "asked")
    assert (tmp_path / "other").read_text() == ""
