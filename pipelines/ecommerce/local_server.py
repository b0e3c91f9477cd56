"""A PostgreSQL of one's own for the demo and for tests, started by `script/postgres-server`."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts import ConfigurationError

_SCRIPT = Path(__file__).parents[2] / "script" / "postgres-server"
# The first start may have to install PostgreSQL.
_TIMEOUT_SECONDS = 300


class LocalServer:
    """A server with data in `folder` and a port of its own; `dsn` is its address, also while it is down."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._environment = {
            **os.environ,
            "POSTGRES_SERVER_HOME": str(folder),
            "POSTGRES_SERVER_PORT": str(port),
        }
        self.dsn = self.run("uri")

    @contextmanager
    def gone_after_this_process(self) -> Iterator[None]:
        """Let the server be removed if this process ends within the block, also by `kill -9`.

        The server is a daemon and would go on. Only this process holds the end of the pipe that the watching
        shell reads, so whatever ends the process ends the shell's wait.
        """
        watching = subprocess.Popen(
            ["sh", "-c", 'cat; "$0" remove; rmdir "$1"', str(_SCRIPT), str(self.folder.parent)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl+C goes to the whole group of a terminal.
            start_new_session=True,
        )
        try:
            yield
        finally:
            watching.kill()
            watching.communicate()

    def run(self, command: str) -> str:
        """What the script prints for `start`, `stop`, `kill`, `remove` or `uri`.

        Raises ConfigurationError with its last words, which name the remedy, when it fails.
        """
        # Into a file: the server would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            try:
                done = subprocess.run(
                    [str(_SCRIPT), command],
                    env=self._environment,
                    stdout=output,
                    stderr=output,
                    timeout=_TIMEOUT_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ConfigurationError(
                    f"script/postgres-server {command} did not run ({type(error).__name__}): it needs bash "
                    "and a checkout of this project."
                ) from None
            output.seek(0)
            text = output.read().strip()
        if done.returncode:
            raise ConfigurationError(text)
        return text


@contextmanager
def local_server() -> Iterator[LocalServer]:
    """A running server, gone after the block.

    Raises ConfigurationError with the remedy when PostgreSQL is not there and cannot be installed.
    """
    with server_to_start() as server:
        server.run("start")
        yield server


@contextmanager
def server_to_start() -> Iterator[LocalServer]:
    """A server with a place and a port, which the block may start; gone after it.

    Raises ConfigurationError where the script cannot run.
    """
    # As root PostgreSQL runs as another user, who has to get there.
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = LocalServer(Path(folder) / "server", port)
        with server.gone_after_this_process():
            try:
                yield server
            finally:
                server.run("remove")
