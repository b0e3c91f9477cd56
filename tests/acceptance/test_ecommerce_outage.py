"""The e-commerce stream while its PostgreSQL dies, stops and comes back: the seed's sixth test case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pipelines.ecommerce.local_server import LocalServer
from tests.support.job import Job, environment_of
from tests.support.shop import Shop, event, events
from tests.support.waiting import wait_for

_STAGING = "SELECT count(*) FROM pg_class WHERE relname LIKE 'ecommerce_staging%'"


class _Stream:
    """A running stream and its output."""

    def __init__(self, shop: Shop, job: Job, **environment: str) -> None:
        self.shop = shop
        self._job = job
        self._process = job.start("--pipeline", "ecommerce", **environment)

    def until(self, statement: str, least: int) -> None:
        """Wait until a statement finds a number that is large enough; the server may be away meanwhile."""

        def found() -> bool:
            with suppress(psycopg.Error):
                return bool(self.shop.query(statement)[0][0] >= least)
            return False

        wait_for(found, statement, self._process)

    def until_told(self, text: str, times: int) -> None:
        """Wait until the output has `text` that many times."""
        wait_for(lambda: self._job.output().count(text) >= times, f"{times} × {text}", self._process)

    def stop(self) -> int:
        """End it in good order."""
        return self._job.stop(self._process)


@pytest.fixture
def shop(tmp_path: Path, own_postgres: LocalServer) -> Shop:
    """A shop whose database this test may kill, behind a password."""
    return Shop(tmp_path, own_postgres.dsn.replace("app@", "app:hunter2@"))


@pytest.fixture
def job(shop: Shop) -> Iterator[Job]:
    """The processes of the shop."""
    made = Job(shop.folder, environment_of(shop.settings))
    yield made
    made.end()


def test_a_database_that_dies_and_stops_loses_and_doubles_nothing(
    shop: Shop, job: Job, own_postgres: LocalServer
) -> None:
    """kill -9 while a batch is half written, then a stop in good order; files come all the time.

    The tries are told, the process lives on, and no word of a password or a stack trace is in its output.
    """
    sent = events(600)
    shop.put([*sent[:200], event(event_type="click")])
    # Each batch rests half done, so that the server dies in its middle; after two tries it counts as failed.
    settings = {"ECOMMERCE_INTERVAL_SECONDS": "1", "RETRY_ATTEMPTS": "2", "FAULT": "stage:sleep:2"}
    stream = _Stream(shop, job, **settings)
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
    assert stream.stop() == 0, job.output()
    assert "Traceback" not in job.output()
    assert "hunter2" not in job.output()
    assert "SESSION SUMMARY" in job.output()
    assert shop.ids() == sorted(one["event_id"] for one in sent)
    assert shop.total("duplicates") == 50
    assert shop.query(_STAGING) == [(0,)]
    shop.assert_accounted(652)
    # Both still are what no rule accepts.
    assert job.run("dlq", "retry", "--pipeline", "ecommerce") == 0, job.output()
    assert "0 resolved, 2 kept: 2 × invalid_event_type." in job.output()
