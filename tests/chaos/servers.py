"""Servers of one's own that may be killed: the scripts of `script/` on free ports, with data of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.kafka_servers import two_free_ports
from tests.support.small_disk import SmallDisk, mounted
from tests.support.toxiproxy import Proxy, Toxiproxy, free_port, host_of, run_toxiproxy, through

_SCRIPTS = Path(__file__).parents[2] / "script"
# Room for all that a job writes in hundreds of loops.
_DISK_BYTES = 128 * 2**20


class OwnServer:
    """A server of `script/NAME-server`, whose data survive a kill; `parts` are what `kill` can be given."""

    def __init__(self, name: str, parts: Sequence[str] = ("",), **environment: str) -> None:
        self.name, self.parts = name, parts
        self._script = str(_SCRIPTS / f"{name}-server")
        self._environment = {**os.environ, **environment}
        self.uri = self._run("uri")

    def start(self) -> None:
        """Start what does not run, and wait until it answers. Raises RuntimeError with the script's words."""
        self._run("start")

    def kill(self, part: str = "") -> None:
        """kill -9 of one of its parts, or of all of it (empty)."""
        self._run("kill", *([part] if part else []))

    def start_in_background(self) -> subprocess.Popen[bytes]:
        """As `start`; the caller waits for the exit code."""
        return subprocess.Popen(
            [self._script, "start"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def remove(self) -> None:
        """Stop it and delete its data."""
        self._run("remove")

    def _run(self, *arguments: str) -> str:
        # Into a file: a server would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            run = subprocess.run(
                [self._script, *arguments], env=self._environment, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            text = output.read().strip()
        if run.returncode:
            raise RuntimeError(f"{self._script} {' '.join(arguments)}: {text}")
        return text.splitlines()[-1] if text else ""


class Surroundings:
    """What a job needs and what can be taken from it: servers, a door to each, and its disk.

    `disk` is None where no file system may be mounted. Everything is gone after the block.
    """

    def __init__(self, folder: Path, toxiproxy: Toxiproxy, stack: ExitStack) -> None:
        # The job's working folder, and the folder of all that it writes.
        self.folder, self.data = folder, folder / "data"
        self.servers: dict[str, OwnServer] = {}
        self.doors: dict[str, Proxy] = {}
        self._toxiproxy, self._stack = toxiproxy, stack
        self.disk: SmallDisk | None = None
        try:
            self.disk = stack.enter_context(mounted(self.data, _DISK_BYTES))
        except PermissionError:
            self.data.mkdir(exist_ok=True)

    @property
    def folders(self) -> dict[str, Any]:
        """The settings of where a job writes what is no result."""
        names = {"log_directory": "logs", "metrics_directory": "metrics", "dlq_directory": "dlq"}
        names |= {"checkpoint_location": "spark-checkpoints"}
        return {setting: self.data / name for setting, name in names.items()}

    def mongo(self) -> tuple[str, str]:
        """Start MongoDB's protocol; its address, and that of the door to it."""
        ports = {"MONGO_SERVER_PORT": str(free_port()), "MONGO_SERVER_PG_PORT": str(free_port())}
        return self._start(OwnServer("mongo", ("ferretdb", "postgres", ""), **ports))

    def postgres(self) -> tuple[str, str]:
        """Start PostgreSQL; its address, and that of the door to it."""
        return self._start(OwnServer("postgres", POSTGRES_SERVER_PORT=str(free_port())))

    def kafka(self) -> tuple[str, str]:
        """Start a broker; its address, and that of the door to it."""
        home = tempfile.mkdtemp(prefix="kafka-")
        self._stack.callback(shutil.rmtree, home)
        own, proxied = two_free_ports(), two_free_ports()
        broker = OwnServer(
            "kafka",
            KAFKA_SERVER_HOME=home,
            KAFKA_SERVER_PORT=str(own),
            KAFKA_SERVER_PROXIED_PORT=str(proxied + 1),
        )
        door = f"127.0.0.1:{proxied + 1}"
        self._run(broker)
        # A broker tells its clients where to come back to, so this door must lie there.
        self.doors["kafka"] = self._toxiproxy.proxy(f"127.0.0.1:{proxied}", door)
        return broker.uri, door

    def _start(self, server: OwnServer) -> tuple[str, str]:
        self._run(server)
        door = self.doors[server.name] = self._toxiproxy.proxy(host_of(server.uri))
        return server.uri, through(door, server.uri)

    def _run(self, server: OwnServer) -> None:
        self.servers[server.name] = server
        self._stack.callback(server.remove)
        server.start()


@contextmanager
def surroundings(folder: Path) -> Iterator[Surroundings]:
    """Those of a job whose working folder is `folder`. Raises RuntimeError where they cannot be had."""
    with ExitStack() as stack:
        toxiproxy = stack.enter_context(run_toxiproxy())
        yield Surroundings(folder, toxiproxy, stack)


def exit_in_order_on_sigterm() -> None:
    """Let SIGTERM end this program like an exception, so that what it started is ended too."""

    def leave(_number: int, _frame: Any) -> None:
        sys.exit(1)

    signal.signal(signal.SIGTERM, leave)
