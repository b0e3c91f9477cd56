"""Runs the real command line as a user would, in a folder of its own, and judges the result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.support.class_archive import java_environment
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics

ROOT = Path(__file__).parents[2]
# Catches only what hangs: a loaded machine may be many times slower than a quiet one.
TIMEOUT_SECONDS = 300.0


def environment_of_main(**given: str) -> dict[str, str]:
    """The environment of this process for one of the product's, with what each of them needs, and `given`."""
    return {
        **os.environ,
        # Jobs of several tests may run at the same time.
        "HEALTH_PORT": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        **java_environment(),
        **given,
    }


def run_main(folder: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """`main.py` in `folder`, which is not the checkout, to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=folder,
        env=environment_of_main(**given),
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT_SECONDS,
        check=False,
    )


def start_main(folder: Path, *arguments: str, **given: str) -> subprocess.Popen[str]:
    """Start `main.py` in `folder` without waiting; its output goes to `output.txt` there."""
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), *arguments],
            cwd=folder,
            env=environment_of_main(**given),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Job:
    """One working folder and database; each call starts a process there."""

    def __init__(self, folder: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> None:
        self.folder = folder
        self.database = database
        self.timeout_seconds = TIMEOUT_SECONDS
        self._started: list[subprocess.Popen[str]] = []
        self.environment = environment_of_main(
            MONGO_URI=mongo_uri,
            MONGO_DB_NAME=database.name,
            BATCH_INTERVAL_SECONDS="1",
            DEFAULT_LOOKBACK_DAYS="3650",
            PYTHONPATH=str(ROOT),
        )

    def beside(self) -> Job:
        """The same database and checkpoint from another working folder, as on a second host."""
        other = Job(self.folder / f"other{len(list(self.folder.glob('other*')))}", "", self.database)
        other.folder.mkdir()
        other._started = self._started
        checkpoint = str(self.folder / "spark-checkpoints")
        other.environment = {**self.environment, "CHECKPOINT_LOCATION": checkpoint}
        return other

    def command(self, script: str) -> list[str]:
        """How a script is started."""
        return [sys.executable, str(ROOT / script)]

    def start(self, *arguments: str, script: str = "main.py", **environment: str) -> subprocess.Popen[str]:
        """Start without waiting; output is kept in `output.txt`."""
        with (self.folder / "output.txt").open("a") as output:
            process = subprocess.Popen(
                [*self.command(script), *arguments],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._started.append(process)
        return process

    def run(self, *arguments: str, script: str = "main.py", **environment: str) -> int:
        """Run to the end and return the exit code."""
        return self.start(*arguments, script=script, **environment).wait(self.timeout_seconds)

    def output(self) -> str:
        """Everything the processes printed so far."""
        return (self.folder / "output.txt").read_text()

    def end(self) -> None:
        """Kill what a failed test has left running, or it would go on writing and take the cores."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def stop(self, process: subprocess.Popen[Any]) -> int:
        """SIGTERM, then the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(TIMEOUT_SECONDS)

    def assert_equals_reference(self) -> None:
        """What is stored is what the reference computes from the source as it is now."""
        documents = list(self.database["healthmetrics"].find())
        expected = reference_analytics(documents, "UTC", datetime.now(timezone.utc).date())
        assert expected, "a comparison with nothing proves nothing"
        assert_same_analytics(list(self.database["analytics"].find()), expected)


def wait_for(
    condition: Callable[[], bool], what: str, process: subprocess.Popen[Any], seconds: float = TIMEOUT_SECONDS
) -> None:
    """Poll until `condition`; fails naming `what` after a time, or at once when `process` has ended."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the job ended with {process.returncode} while waiting for {what}"
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def child_jvm(pid: int) -> int | None:
    """The JVM among the direct children of `pid`."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if (Path("/proc") / child / "comm").read_text().strip() == "java":
                    return int(child)
    return None
