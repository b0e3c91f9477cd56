"""`script/bench`: starts the servers that a benchmark fills, then the benchmark."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

from benchmarks import report
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import Benchmark

ADDRESSES = {"mongo": "MONGO_TEST_URI", "postgres": "POSTGRES_TEST_DSN", "kafka": "KAFKA_TEST_SERVERS"}
BENCHMARKS = {
    **{one.name: one.benchmark for one in PIPELINES.values() if one.benchmark},
    # Of several pipelines.
    "letters": Benchmark("benchmarks.letters", ("mongo",)),
    "growth": Benchmark("benchmarks.growth", ("postgres",)),
    "pages": Benchmark("benchmarks.pages", ("mongo", "postgres")),
}


def main() -> None:
    """Run the benchmark that the first argument names, with the other arguments; `--report` writes the page.

    A server whose address the environment has is taken as it is. Raises SystemExit, also when a server cannot
    be started or there is no such benchmark.
    """
    if sys.argv[1:] == ["--report"]:
        report.main()
        return
    named = len(sys.argv) > 1 and not sys.argv[1].startswith("-")
    name = sys.argv.pop(1) if named else DEFAULT_PIPELINE
    if name not in BENCHMARKS:
        sys.exit(f"script/bench: {name} has no benchmark; these have one: {', '.join(BENCHMARKS)}.")
    for server in BENCHMARKS[name].servers:
        if not os.environ.get(ADDRESSES[server]):
            start = [f"script/{server}-server", "start"]
            started = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=False)
            if started.returncode:
                sys.exit(started.returncode)
            os.environ[ADDRESSES[server]] = started.stdout.strip()
    runpy.run_module(BENCHMARKS[name].module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
