"""Runs the real command line as a user would, in a folder of its own, and judges the result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pymongo.database import Database

from settings import Settings
from tests.support import warm_java
from tests.support.class_archive import java_environment
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).parents[2]


class Job:
    """One working folder; each call starts a process there. `environment` is the one of all of them.

    With `own_java` each has a Java of its own, as `main.py` starts it; without, that of an earlier run, as
    spark-submit gives one to it.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], own_java: bool = False) -> None:
        self.folder = folder
        self.own_java = own_java
        self._lent: dict[int, warm_java.WarmJava] = {}
        self.timeout_seconds = TIMEOUT_SECONDS
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {
            **os.environ,
            # Jobs of several tests may run at the same time.
            "HEALTH_PORT": "0",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            **java_environment(),
            **environment,
        }
        # The executors must get the code without it.
        self.environment.pop("PYTHONPATH", None)

    def command(self, script: str) -> list[str]:
        """How a script is started."""
        return [sys.executable, str(ROOT / script)]

    def start(self, *arguments: str, script: str = "main.py", **environment: str) -> subprocess.Popen[str]:
        """Start without waiting; output is kept in `output.txt`."""
        environment = {**self.environment, **environment}
        java = None if self.own_java or not warm_java.is_usual(environment) else warm_java.lend()
        with (self.folder / "output.txt").open("a") as output:
            process = subprocess.Popen(
                [*self.command(script), *arguments],
                cwd=self.folder,
                env={**environment, **(java.environment if java else {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        if java:
            self._lent[process.pid] = java
        return process

    def run(self, *arguments: str, script: str = "main.py", **environment: str) -> int:
        """Run to the end and return the exit code."""
        process = self.start(*arguments, script=script, **environment)
        try:
            return process.wait(self.timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            self._give_back()

    def output(self) -> str:
        """Everything the processes printed so far."""
        return (self.folder / "output.txt").read_text()

    def end(self) -> None:
        """Kill what a failed test has left running, or it would go on writing and take the cores."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._give_back()

    def _give_back(self) -> None:
        """The Javas of the processes that have ended."""
        for process in self._started:
            if process.poll() is not None and (java := self._lent.pop(process.pid, None)):
                warm_java.take_back(java)

    def stop(self, process: subprocess.Popen[Any]) -> int:
        """SIGTERM to all that share its group, as `timeout` and `kill %1` do, then the exit code."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        ended = process.wait(TIMEOUT_SECONDS)
        self._give_back()
        return ended


class HealthJob(Job):
    """The health pipeline's commands on one database."""

    def __init__(self, folder: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> None:
        self.database = database
        address = {"MONGO_URI": mongo_uri, "MONGO_DB_NAME": database.name}
        super().__init__(folder, {**address, "BATCH_INTERVAL_SECONDS": "1", "DEFAULT_LOOKBACK_DAYS": "3650"})

    def beside(self) -> HealthJob:
        """The same database and checkpoint from another working folder, as on a second host."""
        other = HealthJob(self.folder / f"other{len(list(self.folder.glob('other*')))}", "", self.database)
        other.folder.mkdir()
        other._started, other._lent = self._started, self._lent
        checkpoint = str(self.folder / "spark-checkpoints")
        other.environment = {**self.environment, "CHECKPOINT_LOCATION": checkpoint}
        return other

    def assert_equals_reference(self) -> None:
        """What is stored is what the reference computes from the source as it is now."""
        documents = list(self.database["healthmetrics"].find())
        expected = reference_analytics(documents, "UTC", datetime.now(timezone.utc).date())
        assert expected, "a comparison with nothing proves nothing"
        assert_same_analytics(list(self.database["analytics"].find()), expected)


def environment_of(settings: Settings) -> dict[str, str]:
    """What a process must be given to have the settings that `settings` were given."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in given.items()
    }


def child_jvm(pid: int) -> int | None:
    """The JVM among the direct children of `pid`."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if (Path("/proc") / child / "comm").read_text().strip() == "java":
                    return int(child)
    return None


def runs(pid: int) -> bool:
    """Whether the process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
