"""The sender of the demo that can be struck counts what it sends."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.ecommerce.demo import Feeder
from pipelines.engine.stop_flag import StopFlag


def test_the_sender_counts_what_it_writes(tmp_path: Path) -> None:
    """Good events by their ids; a paused one writes nothing but what it is told to."""
    feeder = Feeder(tmp_path)
    for number in (1, 2):
        feeder._write(number)
    for send in (feeder.send_late, feeder.send_again, feeder.send_garbage):
        send()
    rows: list[dict[str, str]] = []
    for file in sorted(tmp_path.glob("*.csv")):
        with file.open(newline="") as lines:
            rows += csv.DictReader(lines)
    assert feeder.records == len(rows)
    assert feeder.sent == {"written": 600, "duplicate": 210, "refused": 52}
    ids = [row["event_id"] for row in rows]
    assert len(ids) - len(set(ids)) >= feeder.again
    feeder.is_paused = True
    feeder.run(StopFlag(), 0.5)
    assert feeder.records == len(rows)
