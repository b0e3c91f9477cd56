"""The pipeline of the demo as a process of its own: killed it comes back; the sender counts what it sends."""

from __future__ import annotations

import csv
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipelines.ecommerce.demo import Feeder, demo_settings
from pipelines.ecommerce.demo_rig import Rig
from pipelines.engine.stop_flag import StopFlag
from tests.support.waiting import wait_for

_NOWHERE = "postgresql://127.0.0.1:9/nowhere"
_SLEEPER = (
    sys.executable,
    "-c",
    "import os, time; print(os.environ['POSTGRES_DSN'], flush=True); time.sleep(600)",
)


def test_a_process_that_is_killed_is_started_again_and_ends_with_the_demo(tmp_path: Path) -> None:
    """With the settings of the demo, whatever the environment has."""
    settings, stop = demo_settings(_NOWHERE, tmp_path), StopFlag()
    server: Any = SimpleNamespace(dsn=_NOWHERE)
    feeder = Feeder(settings.ecommerce_input_path)
    rig = Rig(server, settings, feeder, _SLEEPER)
    thread = threading.Thread(target=rig.supervise, args=(stop,), daemon=True)
    thread.start()
    wait_for(lambda: rig.is_alive, "the process")
    rig.kill()
    wait_for(lambda: rig.starts == 2 and rig.is_alive, "another process")
    log = settings.log_directory / "process.log"
    wait_for(lambda: log.read_text() == f"{_NOWHERE}\n" * 2, log.read_text)
    stop.set()
    thread.join(60)
    assert not rig.is_alive
    assert [blow.what for blow in rig.blows] == ["kill -9 of the pipeline"]
    # A database that is away has said nothing yet.
    assert rig.found() is None


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
    assert feeder.good + feeder.again + feeder.bad == feeder.records
    assert (feeder.good, feeder.again, feeder.bad) == (600, 210, 52)
    ids = [row["event_id"] for row in rows]
    assert len(ids) - len(set(ids)) >= feeder.again
    feeder.is_paused = True
    feeder.run(StopFlag(), 0.5)
    assert feeder.records == len(rows)
