"""The watch over the queries: a server that is away is told once, and once that it is back."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import UnavailableError
from pipelines.engine import due
from pipelines.engine.outage import Outage
from pipelines.engine.query_watch import QueryWatch
from tests.support.clock import Clock


class _Flow:
    """Streams without metrics."""

    streams = ("matches", "players")

    def up(self, _stream: str, _runs: bool) -> None:
        """Ignored."""


class _Query:
    """One that runs and has no progress to tell."""

    isActive, lastProgress = True, None  # noqa: N815 - Spark's names


def test_an_outage_is_told_once_by_all_streams_and_once_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With how long it took; Spark itself says nothing for minutes, and the next outage is told again."""
    clock, away = Clock(monkeypatch, due), list[bool]()

    def waiting() -> int:
        if away:
            raise UnavailableError("No Kafka broker answers at host:9092")
        return 7

    flow: Any = _Flow()
    query: Any = _Query()
    watch = QueryWatch(flow, dict.fromkeys(_Flow.streams, waiting))
    watch._outage = Outage("Kafka", lambda: clock.seconds)
    told = []
    for second in range(0, 200, 5):
        away[:] = [True] if 20 <= second < 60 or 100 <= second < 130 else []
        clock.seconds = second
        for stream in _Flow.streams:
            watch.look(stream, query)
        told += [(second, line) for line in capsys.readouterr().out.splitlines() if "Kafka" in line]
    assert [second for second, _ in told] == [20, 60, 100, 130]
    assert "host:9092" in told[0][1]
    assert "back after 40 seconds" in told[1][1]
    assert "back after 30 seconds" in told[3][1]
