"""The pipeline of a demo as a process of its own: killed it comes back, with what it was given."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from contracts import ENDS
from pipelines.ecommerce.demo import demo_settings as ecommerce
from pipelines.engine.demo_rig import Found, Rig, demo_process, environment_of
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.demo import demo_settings as esports
from pipelines.stock.demo import demo_settings as stock
from settings import Settings, load
from tests.support.documents import ROOT
from tests.support.waiting import wait_for

_NOWHERE = "postgresql://127.0.0.1:9/nowhere"
_SLEEPER = (
    sys.executable,
    "-c",
    "import os, time; print(os.environ['POSTGRES_DSN'], flush=True); time.sleep(600)",
)


@dataclass
class _Sender:
    """Has sent what the test says."""

    sent: dict[str, int] = field(default_factory=lambda: {"written": 5})
    is_paused: bool = False


def _rig(folder: Path, *found: Found | None) -> Rig:
    answers = iter(found)
    return Rig(ecommerce(_NOWHERE, folder), _Sender(), _SLEEPER, "PostgreSQL", lambda: next(answers, None))


def test_a_process_that_is_killed_is_started_again_and_ends_with_the_demo(tmp_path: Path) -> None:
    """With the settings of the demo, whatever the environment has."""
    rig, stop = _rig(tmp_path), StopFlag()
    thread = threading.Thread(target=rig.supervise, args=(stop,), daemon=True)
    thread.start()
    log = tmp_path / "logs" / "process.log"
    wait_for(lambda: log.is_file() and log.read_text() == f"{_NOWHERE}\n", "the process")
    assert rig.is_alive
    rig.strikes["Kill the pipeline (kill -9)"]()
    wait_for(lambda: log.read_text() == f"{_NOWHERE}\n" * 2, log.read_text)
    assert rig.starts == 2
    assert rig.is_alive
    stop.set()
    thread.join(60)
    assert not rig.is_alive
    look = rig.look()
    assert [blow.what for blow in look.blows] == ["kill -9 of the pipeline"]
    # A store that is away has said nothing yet.
    assert look.found is None


def test_a_blow_is_over_once_the_store_has_all_that_was_sent_before_it(tmp_path: Path) -> None:
    """Not before, and not by what was sent later; while the store is away its last answer holds."""
    rig = _rig(tmp_path, Found({"written": 4}, 4, 4), None, Found({"written": 5}, 5, 5))
    rig.send("nothing much", lambda: None)
    rig.sender.sent["written"] = 9  # type: ignore[index]
    looks = [rig.look() for _ in range(3)]
    assert [look.found for look in looks] == [{"written": 4}, {"written": 4}, {"written": 5}]
    assert [look.blows[0].caught_up_seconds is None for look in looks] == [True, True, False]
    assert looks[0].sent == {"written": 9}


def test_a_store_that_is_taken_away_comes_back(tmp_path: Path) -> None:
    """Between the two the page says that it is away."""
    rig, steps, back = _rig(tmp_path), [], threading.Event()
    rig.take_store("away", lambda: steps.append(rig.look().store_is_up), 0.0, lambda: back.wait(60))
    assert not rig.look().store_is_up
    back.set()
    wait_for(lambda: rig.look().store_is_up, "the store")
    assert steps == [False]


def test_the_job_of_the_dashboard_ends_where_its_own_process_is_wanted(tmp_path: Path) -> None:
    """Or where all is to stop; until then it runs."""
    for asked in ("begin", "stop"):
        rig, stop, job = _rig(tmp_path), StopFlag(), _Job()
        thread = threading.Thread(target=rig.stream, args=(job, stop), daemon=True)
        thread.start()
        assert job.runs.wait(60)
        assert not job.stopped.is_set()
        assert rig.look().is_wanted is False
        rig.begin() if asked == "begin" else stop.set()
        thread.join(60)
        assert job.stopped.is_set()
        assert rig.look().is_wanted is (asked == "begin")


class _Job:
    """Streams until it is asked to stop."""

    def __init__(self) -> None:
        self.runs, self.stopped = threading.Event(), threading.Event()

    def stream(self, stop: StopFlag) -> bool:
        self.runs.set()
        while not stop.wait(1):
            pass
        self.stopped.set()
        return True

    def once(self, _stop: StopFlag) -> bool:
        raise AssertionError("a stream was asked for")

    def finish(self, _out: object) -> None:
        raise AssertionError("nothing is to be told")


_SETTINGS: dict[str, Callable[[Path], Settings]] = {
    "ecommerce": lambda folder: ecommerce("postgresql://app:s%40cret@127.0.0.1:9/shop", folder),
    "esports": esports,
    "stock": lambda folder: stock(folder, mongo_uri="mongodb://a:s3cret@db:27017/", stock_db_name="demo_1"),
}


@pytest.mark.parametrize("name", _SETTINGS)
def test_a_process_has_the_settings_of_its_demo(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of those that the demo was given, secrets too; and no fault, though this process has one."""
    monkeypatch.chdir(tmp_path)
    given = _SETTINGS[name](Path("here"))
    with patch.dict(os.environ, {"FAULT": "kill:commit", **_upper(given)}):
        found = load(env_file=None)
    for setting in given.model_fields_set:
        value: Any = getattr(given, setting)
        assert getattr(found, setting) == (value.absolute() if isinstance(value, Path) else value), setting
    assert found.fault == ""


def _upper(settings: Settings) -> dict[str, str]:
    environment = environment_of(settings)
    assert all(name == name.upper() for name in environment)
    return environment


def test_the_process_finds_its_modules_wherever_it_is_started(tmp_path: Path) -> None:
    """The demo's command names a module of this program, not of the folder where the person is."""
    command = demo_process("pipelines.esports.demo_rig")
    assert command[:2] == [sys.executable, "-m"]
    rig = _rig(tmp_path)
    with patch.dict(os.environ, {"PYTHONPATH": "/elsewhere"}):
        assert rig._environment()["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/elsewhere"]


def test_the_ends_of_what_is_found_are_those_of_every_pipeline() -> None:
    """They are added up as one number of records."""
    ends = dict.fromkeys(ENDS, 2)
    assert Found(ends, 0, 0).records == 2 * len(ENDS)
