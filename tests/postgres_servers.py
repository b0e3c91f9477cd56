"""Databases for single tests on the shared PostgreSQL, and servers that a test alone uses and may kill."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_ROLE_PASSWORD = "of-a-test"  # noqa: S105
_SCRIPT = Path(__file__).parents[1] / "script" / "postgres-server"


@contextmanager
def fresh_database(dsn: str) -> Iterator[str]:
    """The address of an empty database with a random name on the server of `dsn`, gone after the block."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield _with_database(dsn, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _with_database(dsn: str, name: str) -> str:
    base, question, options = dsn.partition("?")
    return f"{base.rpartition('/')[0]}/{name}{question}{options}"


@contextmanager
def fresh_role(dsn: str, *grants: str) -> Iterator[str]:
    """`dsn` with a user of a random name who has only these rights, such as `SELECT ON user_events`.

    The user is gone after the block. Everybody's right to make tables in `public` is taken away.
    """
    role = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_ROLE_PASSWORD}'")
        try:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            for grant in grants:
                connection.execute(f"GRANT {grant} TO {role}")
            place = dsn.partition("//")[2].rpartition("@")[2]
            yield f"postgresql://{role}:{_ROLE_PASSWORD}@{place}"
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


class OwnServer:
    """A PostgreSQL of script/postgres-server with data and a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self._environment = {
            **os.environ,
            "POSTGRES_SERVER_HOME": str(folder),
            "POSTGRES_SERVER_PORT": str(port),
        }
        self.dsn = self.run("uri")

    def run(self, command: str) -> str:
        """What the script prints. Raises RuntimeError with its last words when it fails."""
        call = [str(_SCRIPT), command]
        # Into a file: the server would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                call, env=self._environment, stdout=output, stderr=output, timeout=300, check=False
            )
            output.seek(0)
            text = output.read().strip()
        if done.returncode:
            raise RuntimeError(text)
        return text


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A running server of its own, gone after the block. Raises RuntimeError when it cannot be had."""
    # PostgreSQL as another user has to get there, so not in pytest's private folders.
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = OwnServer(Path(folder) / "server", port)
        try:
            server.run("start")
            yield server
        finally:
            server.run("remove")
