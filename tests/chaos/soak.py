"""`script/soak`: the real stream for a long time, with live writers: nothing may grow, nothing may drift."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

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
from tests.chaos.servers import exit_in_order_on_sigterm
from tests.chaos.tally import batches_of
from tests.chaos.workload import Workload
from tests.chaos.workloads import WORKLOADS, opened
from tests.support.job import child_jvm
from tests.support.waiting import wait_for

_SAMPLE_SECONDS = 10.0
# The JVM compiles and fills its heap for so long; at most a third of the run.
_WARM_UP_SECONDS = 1_200.0
# Also of full collections, and of the commands that cron starts.
_TELL_SECONDS = 150.0
_WRITE_EVERY_SECONDS = (0.1, 0.5)
_LIMITS = {
    # A heap of 1 GB; whether something stays in it, the live heap tells.
    "driver JVM RSS MB": Limit(1_600, 60),
    "live heap MB": Limit(300, 15),
    "driver JVM descriptors": Limit(500, 5),
    "driver JVM threads": Limit(150, 10),
    # The last 10 000 batches are remembered, 2.6 kB each, and Arrow takes 4 MB at once.
    "Python RSS MB": Limit(400, 30),
    "Python descriptors": Limit(100, 5),
    "Python threads": Limit(40, 2),
    # The ticker's are thrown away at each start.
    "checkpoint files": Limit(200, 5),
}
# Of each query Spark keeps ten batches in two folders, each file with its checksum; of a file source's notes
# those of a minute, so their number follows the batches.
_STREAM_LIMITS = {**_LIMITS, "checkpoint files": Limit(500, 100)}


class Soak:
    """One stream, its writers, and the samples."""

    def __init__(self, work: Workload) -> None:
        self._work, self._job = work, work.job
        # Batches and JVM as users have them; only its collections are logged, and its heap has its full size
        # from the start: what grows is outside of it.
        for name in work.cuts:
            del self._job.environment[name]
        self._gc_log = work.around.folder / "gc.log"
        self._job.environment["JAVA_TOOL_OPTIONS"] = f"-Xlog:gc:file={self._gc_log}"
        # For Spark's own Java alone: the one that looks for its options has less memory.
        self._job.environment["SPARK_SUBMIT_OPTS"] = "-Xms1g -XX:+AlwaysPreTouch"
        self._limits = _STREAM_LIMITS if work.streams else _LIMITS
        self.series: dict[str, Series] = defaultdict(Series)
        self._minutes = self._warm_up = 0.0
        self._process: subprocess.Popen[str] | None = None

    def run(self, minutes: float) -> None:
        """Stream for so long. Raises AssertionError when the result differs from the reference."""
        work, self._minutes = self._work, minutes
        self._warm_up = min(_WARM_UP_SECONDS, minutes * 60 / 3)
        work.prepare()
        process = self._process = self._job.start(*work.arguments)
        wait_for(work.started, "the first batch", process)
        jvm = child_jvm(process.pid)
        assert jvm is not None, "the job has no JVM"
        thread = work.write(_WRITE_EVERY_SECONDS)
        try:
            self._watch(process, jvm)
        finally:
            work.stop_writing()
            thread.join()
        work.mark()
        wait_for(work.caught_up, "the last write", process)
        work.check_result()
        assert self._job.stop(process) == 0, "SIGTERM must end the job well"
        work.check_end()

    def _watch(self, process: subprocess.Popen[str], jvm: int) -> None:
        began = told = time.monotonic()
        while (passed := time.monotonic() - began) < self._minutes * 60:
            assert process.poll() is None, f"the job ended with {process.returncode}"
            self._sample(passed, process.pid, jvm)
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self._run_commands()
                collect_garbage(jvm)
                newest = {name: round(one.values[-1], 1) for name, one in self.series.items()}
                say(f"{passed / 60:.0f} minutes: {newest}")
            time.sleep(_SAMPLE_SECONDS)

    def _run_commands(self) -> None:
        # A full pass has a checkpoint and a length of its own: the crash loops have it.
        for name, (script, *arguments) in self._work.beside.items() if self._work.streams else ():
            assert self._job.run(*arguments, script=script, JAVA_TOOL_OPTIONS="") == 0, name

    def told(self) -> list[str]:
        """The figures."""
        return [
            f"writes  {sum(self._work.counts.values())}",
            f"batches {dict(batches_of(self._work.data))}",
            *table(self.series, self._limits, self._warm_up),
        ]

    def beyond(self) -> list[str]:
        """What exceeded its limit."""
        return list(beyond(self.series, self._limits, self._warm_up))

    def close(self) -> None:
        """End what still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._work.close()

    def _sample(self, passed: float, python: int, jvm: int) -> None:
        for owner, pid in (("driver JVM", jvm), ("Python", python)):
            for name, value in process_sample(pid).items():
                self.series[f"{owner} {name}"].add(passed, value)
        heap = live_heap(self._gc_log)
        if heap is not None:
            self.series["live heap MB"].add(passed, heap)
        files = count_files(self._work.around.folders["checkpoint_location"])
        self.series["checkpoint files"].add(passed, files)


def main() -> int:
    """0 when nothing grew beyond its limit and the sink equals the reference, else 1."""
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__)
    parser.add_argument("--pipeline", choices=WORKLOADS, default="health", help="which one (health)")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to stream (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the writes (1)")
    arguments = parser.parse_args()
    exit_in_order_on_sigterm()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    with opened(arguments.pipeline, folder, arguments.seed) as work:
        soak = Soak(work)
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
