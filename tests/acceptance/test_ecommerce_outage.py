"""The e-commerce stream while its PostgreSQL dies, stops and comes back: the seed's sixth test case."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from pipelines.ecommerce.local_server import LocalServer
from tests.acceptance.job import TIMEOUT_SECONDS, run_main, start_main, wait_for
from tests.support.shop import Shop, event, events

_STAGING = "SELECT count(*) FROM pg_class WHERE relname LIKE 'ecommerce_staging%'"


class _Stream:
    """A running stream and its output."""

    def __init__(self, shop: Shop, process: subprocess.Popen[str]) -> None:
        self.shop = shop
        self.process = process

    def until(self, statement: str, least: int) -> None:
        """Wait until a statement finds a number that is large enough; the server may be away meanwhile."""

        def found() -> bool:
            with suppress(psycopg.Error):
                return bool(self.shop.query(statement)[0][0] >= least)
            return False

        wait_for(found, statement, self.process)

    def until_told(self, text: str, times: int) -> None:
        """Wait until the output has `text` so often."""
        wait_for(lambda: self.told().count(text) >= times, f"{times} × {text}", self.process)

    def told(self) -> str:
        """Everything it printed."""
        return (self.shop.folder / "output.txt").read_text()


@contextmanager
def _stream(shop: Shop, **environment: str) -> Iterator[_Stream]:
    """The stream as people start it; killed at the end, should it still run."""
    process = start_main(shop.folder, "--pipeline", "ecommerce", **shop.environment(), **environment)
    try:
        yield _Stream(shop, process)
    finally:
        process.kill()
        process.wait()


def test_a_database_that_dies_and_stops_loses_and_doubles_nothing(
    tmp_path: Path, own_postgres: LocalServer
) -> None:
    """kill -9 while a batch is half written, then a stop in good order; files come all the time.

    The tries are told, the process lives on, and no word of a password or a stack trace is in its output.
    """
    shop = Shop(tmp_path, own_postgres.dsn.replace("app@", "app:hunter2@"))
    sent = events(600)
    shop.put([*sent[:200], event(event_type="click")])
    # Each batch rests half done, so that the server dies in its middle; after two tries it counts as failed.
    settings = {"ECOMMERCE_INTERVAL_SECONDS": "1", "RETRY_ATTEMPTS": "2", "FAULT": "stage:sleep:2"}
    with _stream(shop, **settings) as stream:
        stream.until(_STAGING, 1)
        own_postgres.run("kill")
        shop.put([*sent[200:400], *sent[:50]])
        stream.until_told("the batch is tried again", 1)
        stream.until_told("failed after", 1)
        own_postgres.run("start")
        stream.until("SELECT count(*) FROM user_events", 400)
        shop.put([*sent[400:], event(event_type="click")])
        stream.until(_STAGING, 1)
        own_postgres.run("stop")
        stream.until_told("failed after", 2)
        own_postgres.run("start")
        stream.until("SELECT count(*) FROM user_events", 600)
        stream.until("SELECT count(*) FROM user_event_batches WHERE reported", 3)
        stream.process.send_signal(signal.SIGTERM)
        assert stream.process.wait(TIMEOUT_SECONDS) == 0, stream.told()
    assert "Traceback" not in stream.told()
    assert "hunter2" not in stream.told()
    assert "SESSION SUMMARY" in stream.told()
    assert shop.ids() == sorted(one["event_id"] for one in sent)
    assert shop.total("duplicates") == 50
    assert shop.query(_STAGING) == [(0,)]
    shop.assert_accounted(652)
    retried = run_main(shop.folder, "dlq", "retry", "--pipeline", "ecommerce", **shop.environment())
    # Both still are what no rule accepts.
    assert retried.returncode == 0, retried.stdout + retried.stderr
    assert "0 resolved, 2 kept." in retried.stdout
