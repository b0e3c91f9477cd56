"""`check` tells what of the catalogue the backend does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.checks.catalogue import metrics
from settings import load
from tests.support.catalogues import PULSE


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        ("", "ok", "8 metrics, all known to the backend"),
        (PULSE, "warning", "restingHeartRate is not in its enum of metricType"),
        ("[steps]\nrange = 0 to 200000\n", "warning", "of steps it takes 0 to 100,000 steps"),
        ("[weight]\nrange = 40 to 200\n[steps]\nstreak = none\ntell_streaks = none\n", "ok", "8 metrics"),
    ],
    ids=["shipped", "name", "wider", "narrower"],
)
def test_what_the_backend_would_refuse_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, status: str, told: str
) -> None:
    """Names beyond its enum, values beyond its limits; with a remedy."""
    path = tmp_path / "own.ini"
    path.write_text(content, encoding="utf-8")
    found = metrics(load(env_file=None, **({"metric_catalogue": path} if content else {})))
    assert (found.status, bool(found.remedy)) == (status, status == "warning")
    assert told in found.detail
    load(env_file=None)
