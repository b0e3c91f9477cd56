"""script/test itself, in a made-up checkout of stand-ins: what it leaves behind, and its last line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.toxiproxy import free_port
from tests.support.waiting import wait_for

_PATIENCE_SECONDS = 120.0
# Each leaves a process that has left its group, as a server does.
_SERVER = '#!/usr/bin/env bash\necho "$0 $*" >>{folder}/calls\n[ "$1" != start ] || {{ {body}; }}\n'
_DAEMON = "setsid {folder}/sleeper 3600 >/dev/null 2>&1 </dev/null & echo address"
_STUBBORN = "bash -c 'trap : TERM; while :; do {folder}/sleeper 3600; done' &"
_PYTHON = """#!/usr/bin/env bash
[[ "$*" == *"-m pytest"* ]] || exit 0
{body}
"""


class Checkout:
    """A folder with script/test and stand-ins; whatever they start has the folder in its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "script").mkdir()
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / "path").mkdir()
        for name in ("test", "arguments.sh"):
            shutil.copy(ROOT / "script" / name, folder / "script" / name)
        shutil.copy(shutil.which("sleep") or "", folder / "sleeper")
        for name in ("setup", "toxiproxy", "smoke"):
            self.program(f"script/{name}", "#!/bin/sh\n")
        for name in ("mongo-server", "postgres-server", "kafka-server"):
            self.program(f"script/{name}", _SERVER, _DAEMON)
        for name in ("ruff", "mypy", "lint-imports", "python"):
            self.program(f".venv/bin/{name}", "#!/bin/sh\n")
        for name in (
            "prometheus",
            "promtool",
            "prometheus-node-exporter",
            "chromium-headless-shell",
            "apt-get",
        ):
            self.program(f"path/{name}", "#!/bin/sh\n")
        self._running: subprocess.Popen[bytes] | None = None

    def program(self, name: str, text: str, body: str = "") -> None:
        """Make or replace a stand-in."""
        file = self.folder / name
        file.write_text(text.format(folder=self.folder, body=body.format(folder=self.folder)))
        file.chmod(0o755)

    def begin(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start script/test there, on ports where nothing listens."""
        given = {
            name: value
            for name, value in os.environ.items()
            if not name.endswith(("_URI", "_DSN", "_SERVERS"))
        }
        ports = {f"{name}_SERVER_PORT": str(free_port()) for name in ("MONGO", "POSTGRES", "KAFKA")}
        path = f"{self.folder / 'path'}:{os.environ['PATH']}"
        cache = str(self.folder / "cache")
        self._running = subprocess.Popen(
            [self.folder / "script" / "test"],
            env={**given, **ports, "PATH": path, "XDG_CACHE_HOME": cache, "CI": "", **variables},
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "out").open("wb"),
            stderr=(self.folder / "err").open("wb"),
            start_new_session=True,
        )
        return self._running

    def wait_for(self, name: str) -> None:
        """Wait until that file is there."""
        wait_for((self.folder / name).exists, lambda: f"{name}: {self.text('err')}")

    def text(self, name: str) -> str:
        """What is in that file."""
        return (self.folder / name).read_text()

    def left(self) -> list[str]:
        """The command lines of what was started there and is not gone."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in words and int(process.name) != os.getpid():
                    found.append(words)
        return found

    def end(self) -> None:
        """Kill what a failed test has left."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self.folder).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
        if self._running:
            self._running.wait(_PATIENCE_SECONDS)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """One in which everything is there and ends at once."""
    made = Checkout(tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_tests_run_it_leaves_nothing(checkout: Checkout, number: signal.Signals) -> None:
    """pytest is told first and tears down; then the servers are stopped, and whatever is left is ended."""
    stubborn = _STUBBORN if number == signal.SIGINT else ""
    checkout.program("script/smoke", '#!/bin/sh\n[ "$1" = --fetch ] || {folder}/sleeper 3600\n')
    checkout.program(
        ".venv/bin/python",
        _PYTHON,
        "trap 'touch {folder}/torn-down; exit 2' TERM\n"
        f"setsid {{folder}}/sleeper 3600 &\n{stubborn}\n"
        "touch {folder}/began\n{folder}/sleeper 3600 & wait",
    )
    running = checkout.begin()
    checkout.wait_for("began")
    assert len(checkout.left()) > 5
    running.send_signal(number)
    assert running.wait(_PATIENCE_SECONDS) == 128 + number
    assert checkout.left() == []
    checkout.wait_for("torn-down")
    stopped = [line for line in checkout.text("calls").splitlines() if line.endswith(" stop")]
    assert len(stopped) == 3 - (os.getuid() != 0)
    assert "stopping what was started" in checkout.text("err")


def test_ended_while_servers_are_built_it_leaves_nothing(checkout: Checkout) -> None:
    """Builders and what they started are ended; only what installs packages comes to its end first."""
    checkout.program("script/postgres-server", _SERVER, "{folder}/sleeper 3600; touch {folder}/went-on")
    checkout.program("script/toxiproxy", "#!/bin/sh\nsetsid {folder}/sleeper 3600 & {folder}/sleeper 3600\n")
    checkout.program("path/apt-get", "#!/bin/bash\ntouch {folder}/began\nsleep 2\ntouch {folder}/installed\n")
    checkout.program("script/setup", "#!/usr/bin/env bash\napt-get install java\n{folder}/sleeper 3600\n")
    running = checkout.begin()
    checkout.wait_for("began")
    running.terminate()
    assert running.wait(_PATIENCE_SECONDS) == 128 + signal.SIGTERM
    assert checkout.left() == []
    assert (checkout.folder / "installed").exists()
    assert not (checkout.folder / "went-on").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_at_its_end_it_has_pytests_exit_code_and_leaves_nothing(checkout: Checkout, code: int) -> None:
    """Also what a test forgot; the last line is the one that pytest closed with."""
    checkout.program(
        ".venv/bin/python",
        _PYTHON,
        f"setsid {{folder}}/sleeper 3600 & echo ran $SCRIPT_TEST_RUN; echo '3 passed in 1s'; exit {code}",
    )
    assert checkout.begin().wait(_PATIENCE_SECONDS) == code
    assert checkout.left() == []
    assert checkout.text("out").splitlines()[-1] == "3 passed in 1s"


@pytest.mark.parametrize(("smoked", "ci", "code"), [(1, "", 1), (2, "true", 2), (2, "", 0)])
def test_an_older_spark_counts_too(checkout: Checkout, smoked: int, ci: str, code: int) -> None:
    """What fails on it fails the run, and is shown; where it cannot be had, only CI minds."""
    checkout.program(
        "script/smoke", f'#!/bin/sh\n[ "$1" = --fetch ] || {{{{ echo broken; exit {smoked}; }}}}\n'
    )
    checkout.program(".venv/bin/python", _PYTHON, "echo '3 passed in 1s'")
    assert checkout.begin(CI=ci).wait(_PATIENCE_SECONDS) == code
    assert checkout.text("out").splitlines()[-1] == "3 passed in 1s"
    assert "broken" in checkout.text("err")
    assert checkout.left() == []


def test_it_unpacks_prometheus_and_installs_chromium_where_root_may(checkout: Checkout) -> None:
    """Where they are missing; unpacked, so that no service is started, and on the path of the tests."""
    if os.getuid() != 0:
        pytest.skip("only root fetches packages")
    for name in ("prometheus", "promtool", "prometheus-node-exporter", "chromium-headless-shell"):
        (checkout.folder / "path" / name).unlink()
    path = f"{checkout.folder / 'path'}:{_without_programs(checkout.folder)}"
    checkout.program(
        "path/apt-get",
        '#!/usr/bin/env bash\necho "$*" >>{folder}/apt\n[ "$1" != download ] || touch "${{@: -1}}.deb"\n',
    )
    checkout.program("path/dpkg", "#!/bin/sh\nmkdir -p usr/bin\ncp {folder}/sleeper usr/bin/promtool\n")
    checkout.program(".venv/bin/python", _PYTHON, "command -v promtool; echo 3 passed")
    assert checkout.begin(PATH=path).wait(_PATIENCE_SECONDS) == 0, checkout.text("err")
    assert checkout.text("apt").splitlines() == [
        "update -qq",
        "download prometheus prometheus-node-exporter",
        "update -qq",
        "install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core pgbouncer",
    ]
    where = checkout.folder / "cache" / "spark-health-analytics" / "tools" / "usr" / "bin" / "promtool"
    assert checkout.text("out").splitlines() == [str(where), "3 passed"]


def _without_programs(folder: Path) -> Path:
    """A folder with what the script needs of this machine, and none of the programs that it would fetch."""
    needed = folder / "needed"
    needed.mkdir()
    names = (
        "bash sh cat cp date dirname env flock grep id mkdir mktemp mv rm sed setsid sleep sort tail touch wc"
    )
    for name in names.split():
        (needed / name).symlink_to(shutil.which(name) or "")
    return needed


class Run:
    """A folder of tests that are run as this project's are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hooks = "from tests.support.run_hooks import pytest_configure, pytest_unconfigure\n"
        (folder / "conftest.py").write_text(hooks)

    def begin(self, text: str, *options: str, ci: str = "") -> subprocess.Popen[str]:
        """Start pytest on a module of that text."""
        (self.folder / "test_some.py").write_text(text)
        plain = ["-q", "-p", "no:cacheprovider", "--basetemp", str(self.folder / "tmp")]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *plain, *options, "."],
            cwd=self.folder,
            env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
            stdout=subprocess.PIPE,
            text=True,
        )

    def last_line(self, text: str, *options: str, ci: str = "") -> str:
        """What the run said at its end."""
        return self.begin(text, *options, ci=ci).communicate(timeout=_PATIENCE_SECONDS)[0].splitlines()[-1]


def test_the_last_line_says_what_was_not_run(tmp_path: Path) -> None:
    """How many tests, and what they lacked; in CI, where that is a failure, pytest's own line is the last."""
    run = Run(tmp_path)
    lacking = (
        "import pytest\n"
        "from tests.support.missing import missing\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_browser(n): missing('chromium was not found')\n"
        "def test_server(): missing('no real Kafka')\n"
        "def test_good(): pass\n"
    )
    told = "not run: 4 tests, because: chromium was not found (3); no real Kafka (1)"
    assert run.last_line(lacking, "-n", "2") == told
    assert run.last_line(lacking, ci="true").startswith("4 failed, 1 passed in ")
    assert run.last_line("def test_good(): pass").startswith("1 passed in ")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "in processes"])
def test_ended_by_a_signal_fixtures_are_torn_down(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Their servers and databases would stay otherwise."""
    text = (
        "import pathlib, pytest, time\n"
        "@pytest.fixture\n"
        f"def server():\n    yield\n    pathlib.Path({str(tmp_path / 'torn-down')!r}).touch()\n"
        f"def test_it(server):\n    pathlib.Path({str(tmp_path / 'began')!r}).touch()\n    time.sleep(3600)\n"
    )
    running = Run(tmp_path).begin(text, *options)
    try:
        wait_for((tmp_path / "began").exists, "the test to begin")
        running.terminate()
        assert running.wait(_PATIENCE_SECONDS) == pytest.ExitCode.INTERRUPTED
        assert (tmp_path / "torn-down").exists()
    finally:
        running.kill()
        running.communicate()
