"""Brokers that a test alone uses and may kill."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import wait_for

_SCRIPT = Path(__file__).parents[2] / "script" / "kafka-server"
# The connector is fetched once for all test runs of this machine.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
JARS = _CACHE / "spark-health-analytics" / "kafka-connector"


class OwnBroker:
    """A broker of script/kafka-server with data and a port of its own."""

    def __init__(self, folder: Path, port: int, **environment: str) -> None:
        """`environment` has further settings of the script."""
        self._folder = folder
        self._environment = {
            **os.environ,
            "KAFKA_SERVER_HOME": str(folder),
            "KAFKA_SERVER_PORT": str(port),
            **environment,
        }
        self.servers = self.run("uri")

    def pause(self) -> None:
        """Its connections stay open, and it answers nothing until `resume`."""
        os.kill(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        return int((self._folder / "broker.pid").read_text())

    def run(self, command: str) -> str:
        """What the script prints. Raises RuntimeError with its last words when it fails."""
        # Into a file: the broker would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(_SCRIPT), command],
                env=self._environment,
                stdout=output,
                stderr=output,
                timeout=300,
                check=False,
            )
            output.seek(0)
            text = output.read().strip()
        if done.returncode:
            raise RuntimeError(text)
        return text.splitlines()[-1] if text else ""


@contextmanager
def own_broker() -> Iterator[OwnBroker]:
    """A running broker of its own, gone after the block. Raises RuntimeError when it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        broker = OwnBroker(Path(folder), two_free_ports())
        try:
            broker.run("start")
            yield broker
        finally:
            broker.run("kill")


def two_free_ports() -> int:
    """A port that is free, and so is the next one."""
    while True:
        port = random.randrange(20_000, 32_000, 2)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue


def assert_outage_is_told(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The log says once that `server` was away, and, now or soon, once that it is back, after how long."""
    told = ""

    def is_back() -> bool:
        nonlocal told
        told += capsys.readouterr().out
        return f"{server} is back after " in told

    wait_for(is_back, f"the line that {server} is back")
    assert (told.count(f"{server} is away"), told.count(f"{server} is back")) == (1, 1)
