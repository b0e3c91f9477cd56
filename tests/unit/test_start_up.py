"""What a command imports before it works: help and settings come at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.catalog import PIPELINES

ROOT = Path(__file__).resolve().parents[2]
# They take seconds to import on a small machine, and only what computes or moves records needs them.
HEAVY = {"numpy", "pandas", "psycopg", "pyarrow", "pymongo", "pyspark"}
# An idle machine takes a third of it at most.
MAX_CPU_SECONDS = 1.5

# Runs the script in its arguments as Python does, then tells the modules and the CPU time that it took.
_RUN = """
import json, resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    code = end.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([code, sorted(sys.modules), used.ru_utime + used.ru_stime]), file=sys.stderr)
"""

# Tells the addresses of the pages by group, and the modules, of a dashboard that has started.
_LIST = """
import json, sys
from dashboard.setup import open_rooms
groups = {room.title: [page.address for page in room.pages] for room in open_rooms(False, None).rooms}
print(json.dumps([groups, sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    "command",
    [
        "main.py --help",
        "main.py check --help",
        "main.py checkpoint --help",
        "main.py config",
        "main.py dlq --help",
        "main.py dlq list",
        "main.py esports compact --help",
        "main.py inspect --help",
        "main.py metrics ecommerce --help",
        "main.py selftest --help",
        "main.py stock compact --help",
        "process_batch.py --help",
    ],
)
def test_help_needs_no_spark_and_no_driver(command: str, tmp_path: Path) -> None:
    """Each command imports what it works with when it works."""
    script, *arguments = command.split()
    run = subprocess.run(
        [sys.executable, "-c", _RUN, str(ROOT / script), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules, seconds = json.loads(run.stderr)
    assert not code
    needed = {"pymongo"} if command == "main.py dlq list" else set()
    assert HEAVY & set(modules) <= needed
    assert seconds < MAX_CPU_SECONDS


def test_the_dashboard_starts_without_spark(tmp_path: Path) -> None:
    """Each pipeline lists its pages, each at an address of its own, and nothing that runs it is imported."""
    run = subprocess.run(
        [sys.executable, "-c", _LIST],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    groups, modules = json.loads(run.stdout)
    assert groups.keys() == {one.title for one in PIPELINES.values() if one.pages}
    addresses = [address for listed in groups.values() for address in listed]
    assert len(addresses) == len(set(addresses)) >= len(groups)
    assert [name for name in modules if re.fullmatch(r"pyspark|session|pipelines\.\w+\.job", name)] == []
