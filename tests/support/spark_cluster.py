"""A real standalone Spark cluster from pip's pyspark: a master and two workers, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyspark

from tests.support.class_archive import java_environment
from tests.support.toxiproxy import free_port

_HOME = Path(pyspark.__file__).parent
_START_SECONDS = 120.0
WORKERS = 2


class SparkCluster:
    """The running cluster. A worker that was killed is started again by `heal`."""

    def __init__(self, folder: Path, workers: int = WORKERS) -> None:
        self.folder, self._count = folder, workers
        self._port, self._ui = free_port(), free_port()
        self._environment = {
            **os.environ,
            "SPARK_HOME": str(_HOME),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            **java_environment(quiet=False),
        }
        # What the workers run has to come with the job.
        self._environment.pop("PYTHONPATH", None)
        self.master = f"spark://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the master, then the workers. Raises RuntimeError when they do not come."""
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._ui)]
        self._run("master", "org.apache.spark.deploy.master.Master", *where)
        self.heal()

    def heal(self) -> None:
        """Start what workers are missing and wait until all are registered."""
        for number in range(self._count):
            running = self._workers.get(number)
            if running is None or running.poll() is not None:
                self._workers[number] = self._worker(number)
        end = time.monotonic() + _START_SECONDS
        while self._alive() < self._count:
            if time.monotonic() > end:
                raise RuntimeError(f"the Spark workers did not register; see {self.folder}")
            time.sleep(0.2)

    def kill_worker(self, number: int = 0) -> None:
        """SIGKILL one worker's JVM and the executors under it, as when its machine is gone."""
        worker = self._workers[number]
        below = _descendants(worker.pid)
        for process in (worker.pid, *below):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        worker.wait()

    @contextmanager
    def frozen_worker(self) -> Iterator[None]:
        """One worker's Python processes stand still inside the block: its tasks neither fail nor end."""
        frozen = [pid for pid in _descendants(self._workers[0].pid) if _name(pid).startswith("python")]
        try:
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @property
    def worker_pids(self) -> list[int]:
        """The workers' JVMs, whose children the executors are."""
        return [worker.pid for worker in self._workers.values()]

    def stop(self) -> None:
        """Kill everything that was started."""
        for process in self._processes:
            below = _descendants(process.pid)
            for other in below:
                with suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
            process.kill()
            process.wait()

    def _worker(self, number: int) -> subprocess.Popen[bytes]:
        # An address each, for Spark tries a slow task again only on another host.
        place = ["--host", f"127.0.0.{number + 1}", "--cores", "1", "--memory", "1g", "--webui-port", "0"]
        place += ["--work-dir", str(self.folder / f"work{number}")]
        return self._run(f"worker{number}", "org.apache.spark.deploy.worker.Worker", *place, self.master)

    def _run(self, name: str, java_class: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.txt").open("ab") as output:
            process = subprocess.Popen(
                [str(_HOME / "bin" / "spark-class"), java_class, *arguments],
                env=self._environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        self._processes.append(process)
        return process

    def _alive(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ui}/json/", timeout=5) as answer:
                state: dict[str, Any] = json.load(answer)
        except (OSError, ValueError):
            # While it starts it answers this address with a page for people.
            return 0
        # A worker that was killed counts as alive until the master misses it.
        known = [worker for worker in state["workers"] if worker["state"] == "ALIVE"]
        return len(known)


@contextmanager
def spark_cluster(folder: Path, workers: int = WORKERS) -> Iterator[SparkCluster]:
    """A cluster that is up, gone after the block."""
    cluster = SparkCluster(folder, workers)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _name(pid: int) -> str:
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "comm").read_text()
    return ""


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in (Path("/proc") / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
