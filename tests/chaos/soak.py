"""`script/soak`: the real stream for a long time, with live edits; nothing may grow and nothing may drift."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from tests.chaos.health_checks import check_sink, read_cursor
from tests.chaos.health_writer import HealthWriter
from tests.chaos.journal import Journal
from tests.chaos.samples import (
    Limit,
    Series,
    beyond,
    collect_garbage,
    count_files,
    live_heap,
    process_sample,
    table,
)
from tests.chaos.servers import exit_in_order_on_sigterm, run_mongo_server
from tests.chaos.tally import batches_of
from tests.support.job import HealthJob, child_jvm
from tests.support.waiting import wait_for

_SAMPLE_SECONDS = 10.0
# The JVM compiles and fills its heap for so long; at most a third of the run.
_WARM_UP_SECONDS = 1_200.0
# Also of full collections.
_TELL_SECONDS = 150.0
_USERS = (10, 4)
_EDIT_EVERY_SECONDS = (0.1, 0.5)
_LIMITS = {
    # The heap may take 1 GB and is given back in steps; whether something stays in it, the live heap tells.
    "driver JVM RSS MB": Limit(1_600, 200),
    "live heap MB": Limit(300, 15),
    "driver JVM descriptors": Limit(500, 5),
    # Two pools of Spark's block manager fill up slowly to 128 threads each.
    "driver JVM threads": Limit(350, 60),
    "Python RSS MB": Limit(400, 15),
    "Python descriptors": Limit(100, 5),
    "Python threads": Limit(40, 2),
    "checkpoint files": Limit(200, 5),
}


class Soak:
    """One stream, its writers, and the samples."""

    def __init__(self, folder: Path, uri: str, seed: int) -> None:
        self._folder = folder
        self._client = MongoClient[dict[str, Any]](uri, tz_aware=True, uuidRepresentation="standard")
        self._database = self._client["soak"]
        self._job = HealthJob(folder, uri, self._database)
        # The JVM as users have it; only its collections are logged.
        self._gc_log = folder / "gc.log"
        self._job.environment["JAVA_TOOL_OPTIONS"] = f"-Xlog:gc:file={self._gc_log}"
        self._writer = HealthWriter(self._database["healthmetrics"], Journal(), seed, *_USERS)
        self.series: dict[str, Series] = defaultdict(Series)
        self.warm_up = 0.0
        self._process: subprocess.Popen[str] | None = None

    def run(self, minutes: float) -> None:
        """Stream for so long. Raises AssertionError when the result differs from the reference."""
        self.warm_up = min(_WARM_UP_SECONDS, minutes * 60 / 3)
        self._writer.backfill()
        process = self._process = self._job.start()
        wait_for(lambda: read_cursor(self._folder) is not None, "the first batch", process)
        jvm = child_jvm(process.pid)
        assert jvm is not None, "the job has no JVM"
        thread = self._writer.run(_EDIT_EVERY_SECONDS)
        began = told = time.monotonic()
        try:
            while (passed := time.monotonic() - began) < minutes * 60:
                assert process.poll() is None, f"the job ended with {process.returncode}"
                self._sample(passed, process.pid, jvm)
                if time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    collect_garbage(jvm)
                    newest = {name: one.values[-1] for name, one in self.series.items()}
                    say(f"{passed / 60:.0f} minutes: {newest}")
                time.sleep(_SAMPLE_SECONDS)
        finally:
            self._writer.stop()
            thread.join()
        mark = self._writer.mark()
        wait_for(lambda: (read_cursor(self._folder) or mark) >= mark, "the last edit", process)
        assert self._job.stop(process) == 0, "SIGTERM must end the job well"
        check_sink(self._database)

    def told(self) -> list[str]:
        """The figures."""
        return [
            f"edits   {sum(self._writer.counts.values())}",
            f"batches {dict(batches_of(self._folder))}",
            *table(self.series, _LIMITS, self.warm_up),
        ]

    def beyond(self) -> list[str]:
        """What exceeded its limit."""
        return list(beyond(self.series, _LIMITS, self.warm_up))

    def close(self) -> None:
        """End what still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._writer.close()
        self._client.close()

    def _sample(self, passed: float, python: int, jvm: int) -> None:
        for owner, pid in (("driver JVM", jvm), ("Python", python)):
            for name, value in process_sample(pid).items():
                self.series[f"{owner} {name}"].add(passed, value)
        heap = live_heap(self._gc_log)
        if heap is not None:
            self.series["live heap MB"].add(passed, heap)
        files = count_files(self._folder / "spark-checkpoints")
        self.series["checkpoint files"].add(passed, files)


def main() -> int:
    """0 when nothing grew beyond its limit and the sink equals the reference, else 1."""
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to stream (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the edits (1)")
    arguments = parser.parse_args()
    exit_in_order_on_sigterm()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    with run_mongo_server() as server:
        soak = Soak(folder, server.uri, arguments.seed)
        try:
            soak.run(arguments.minutes)
        finally:
            soak.close()
            for line in soak.told():
                say(line)
    faults = soak.beyond()
    for fault in faults:
        say(f"❌ {fault}")
    if faults:
        return 1
    say("✅ the sink equals the reference, and nothing grew beyond its limit")
    shutil.rmtree(folder)
    return 0


def say(text: str) -> None:
    """A line for people."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
