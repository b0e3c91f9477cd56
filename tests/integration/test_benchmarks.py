"""script/bench starts what each pipeline declares as its benchmark."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from benchmarks.__main__ import ADDRESSES, BENCHMARKS
from pipelines.catalog import DEFAULT_PIPELINE
from tests.support.class_archive import java_environment
from tests.support.documents import ROOT

_FIXTURES = {"mongo": "mongo_uri", "postgres": "postgres_dsn", "kafka": "kafka"}


def _bench(folder: Path, *arguments: str, **addresses: str) -> subprocess.CompletedProcess[str]:
    """Run script/bench in a made-up checkout; what starts a server there notes only that it was asked to."""
    server = "#!/bin/sh\necho $0 $* >>started\necho address\n"
    programs = {f"script/{name}-server": server for name in ADDRESSES}
    programs["script/setup"] = "#!/bin/sh\n"
    programs[".venv/bin/python"] = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    for name, text in programs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("bench", "arguments.sh"):
        shutil.copy(ROOT / "script" / name, folder / "script" / name)
    given = {name: value for name, value in os.environ.items() if name not in ADDRESSES.values()}
    return subprocess.run(
        [folder / "script" / "bench", *arguments],
        env={**given, **java_environment(), "PYTHONPATH": str(ROOT), **addresses},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", ["--users 1", "--scale", *BENCHMARKS])
def test_each_benchmark_starts_with_the_servers_that_it_needs(tmp_path: Path, arguments: str) -> None:
    """`script/bench NAME`; without a name, or with its options alone, it is the default pipeline's."""
    run = _bench(tmp_path, *arguments.split(), "--help")
    assert (run.returncode, run.stderr) == (0, "")
    name = arguments if arguments in BENCHMARKS else DEFAULT_PIPELINE
    needed = [server for server, address in ADDRESSES.items() if address in run.stdout]
    assert sorted(BENCHMARKS[name].servers) == sorted(needed)
    started = [f"script/{server}-server start" for server in BENCHMARKS[name].servers]
    assert (tmp_path / "started").read_text().splitlines() == started
    assert f"python -m {BENCHMARKS[name].module} " in run.stdout
    assert ("--workers" in run.stdout) == (arguments == "--scale")


def test_a_benchmark_that_does_not_exist_is_an_error_that_names_those_that_do(tmp_path: Path) -> None:
    """No server is started for it."""
    run = _bench(tmp_path, "no-such")
    assert (run.returncode, run.stdout, (tmp_path / "started").exists()) == (1, "", False)
    names = ", ".join(BENCHMARKS)
    assert run.stderr == f"script/bench: no-such has no benchmark; these have one: {names}.\n"


_TINY = {
    "health": "--users 2 --changed 2 --parts changes",
    "letters": "--letters 31",
    "growth": "--sizes 10,20 --rounds 1",
    "stock": "--histories 20 --seed-up-to 0 --size 10 --batches 1",
    "ecommerce": "--events 50 --rounds 1 --no-jdbc --file-megabytes 0 --table-rows=",
}


@pytest.mark.parametrize("name", _TINY)
def test_a_tiny_run_ends_with_its_verdicts(tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    """On real servers; so little data says nothing of the budgets, so some may be missed."""
    needed = {
        ADDRESSES[server]: request.getfixturevalue(_FIXTURES[server]) for server in BENCHMARKS[name].servers
    }
    run = _bench(tmp_path, name, *_TINY[name].split(), **needed)
    # The others have databases of their own; at the same time health's may be in use.
    if name == "health":
        with MongoClient[dict[str, Any]](needed["MONGO_TEST_URI"]) as client:
            for days in (180, 3_650):
                client.drop_database(f"bench_2_{days}")
    assert "(budget " in run.stdout, run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == int("❌" in run.stdout)
    assert name in (tmp_path / "benchmarks" / "figures.json").read_text(encoding="utf-8")
    assert not (tmp_path / "started").exists()
