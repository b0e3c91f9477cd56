"""A MongoDB-wire server of one's own that may be killed: `script/mongo-server` on free ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.toxiproxy import free_port

_SCRIPT = Path(__file__).parents[2] / "script" / "mongo-server"


class MongoServer:
    """FerretDB and its PostgreSQL; data survive a kill."""

    def __init__(self) -> None:
        ports = {"MONGO_SERVER_PORT": str(free_port()), "MONGO_SERVER_PG_PORT": str(free_port())}
        self._environment = {**os.environ, **ports}
        self.uri = self._run("uri")

    def start(self) -> None:
        """Start what does not run, and wait until it answers. Raises RuntimeError with the script's words."""
        self._run("start")

    def kill(self, part: str = "") -> None:
        """kill -9 of `ferretdb`, `postgres` or both (empty)."""
        self._run("kill", part)

    def start_in_background(self) -> subprocess.Popen[bytes]:
        """As `start`; the caller waits for the exit code."""
        return subprocess.Popen(
            [str(_SCRIPT), "start"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def remove(self) -> None:
        """Stop it and delete its data."""
        self._run("remove")

    def _run(self, *arguments: str) -> str:
        run = subprocess.run(
            [str(_SCRIPT), *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RuntimeError(f"script/mongo-server {' '.join(arguments)}: {run.stderr.strip()}")
        return run.stdout.strip()


@contextmanager
def run_mongo_server() -> Iterator[MongoServer]:
    """A running server that is gone, with its data, after the block.

    Raises RuntimeError where none can be had.
    """
    server = MongoServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def exit_in_order_on_sigterm() -> None:
    """Let SIGTERM end this program like an exception, so that what it started is ended too."""

    def leave(_number: int, _frame: Any) -> None:
        sys.exit(1)

    signal.signal(signal.SIGTERM, leave)
