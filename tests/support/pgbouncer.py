"""A pgbouncer of one test, between it and the shared PostgreSQL, in transaction mode."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.missing import missing
from tests.support.toxiproxy import free_port
from tests.support.waiting import wait_for

# A batch holds two of them, and each of its tasks one.
POOL_SIZE = 4


@contextmanager
def pgbouncer(dsn: str) -> Iterator[str]:
    """The address of the database of `dsn` through a pooler with POOL_SIZE connections of the server."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing("pgbouncer is not installed (the package pgbouncer)")
    server = conninfo_to_dict(dsn)
    port = free_port()
    # It refuses to run as root, and its user has to get there.
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server['host']} port={server['port']} user={server['user']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nunix_socket_dir =\n"
        )
        user = "postgres" if os.getuid() == 0 else None
        process = subprocess.Popen(
            [program, "-q", str(folder / "pgbouncer.ini")], user=user, stderr=subprocess.DEVNULL
        )
        try:
            address = f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"
            wait_for(lambda: _answers(address), "pgbouncer", process)
            yield address
        finally:
            process.terminate()
            process.wait()


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True
