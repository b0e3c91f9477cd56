"""A demo's PostgreSQL ends with the process that started it, whatever ends that one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.waiting import wait_for

_DEMO = """
import time
from pipelines.ecommerce.local_server import server_to_start
with server_to_start() as server:
    server.run("start")
    print(server.folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.usefixtures("postgres_dsn")
@pytest.mark.skipif(os.name == "nt", reason="the server's script needs bash")
def test_it_ends_with_a_demo_that_is_killed() -> None:
    """`kill -9` leaves nobody who could stop it; its data and its folder go, too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    demo = subprocess.Popen([sys.executable, "-c", _DEMO], env=environment, stdout=subprocess.PIPE, text=True)
    assert demo.stdout
    with demo.stdout:
        folder = Path(demo.stdout.readline().strip())
        server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    wait_for(lambda: not (_runs(server) or folder.parent.exists()), lambda: f"{folder} is still there")


def _runs(process: int) -> bool:
    # A zombie has ended.
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
