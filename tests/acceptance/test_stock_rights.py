"""The stock pipeline and its pages do their work with the rights that docs/security.md gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from commands.checks.stock import NEEDED
from dashboard.data.stock_data import Standing, StockData
from dashboard.stock.pages import open_data
from settings import load
from tests.support.database_rights import documented_rights, used_rights
from tests.support.job import Job
from tests.support.mongo_doors import run_script
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_events import client, product, sale
from tests.support.stock_shop import StockTopics

_RECORDED = "tests/acceptance/recorded.py"
_PIPELINE = documented_rights("stockPipeline", "stock_management")
_READER = documented_rights("stockReader", "stock_management")


@pytest.fixture
def job(
    tmp_path: Path, stock_topics: StockTopics, mongo_uri: str, database: Database[dict[str, Any]]
) -> Iterator[Job]:
    """Runs stock commands, all of whose commands to MongoDB are written down."""
    made = Job(tmp_path, {"MONGO_URI": mongo_uri, **stock_topics.environment(database.name)})
    yield made
    made.end()


def test_the_documented_rights_of_the_pipeline_are_those_it_uses(
    job: Job, stock_topics: StockTopics, database: Database[dict[str, Any]]
) -> None:
    """Two runs, a recount, a retry: what they send is what is granted, and what `check` asks for."""
    stock_topics.send(
        product("P1", expiry_date="2020-01-01"), client("C1", "5"), sale("I1", P1=2), sale("I1", amount="9")
    )
    assert job.run("main.py", "--pipeline", "stock", "--once", script=_RECORDED, RECORD_TO="run.jsonl") == 0
    stock_topics.send(product("P2"), sale("I2", "C2", P1=1, P2=3), sale("I3", "C2", "1.00", P2=1))
    for command in (["--pipeline", "stock", "--once"], ["dlq", "retry", "--pipeline", "stock"]):
        done = job.run("main.py", *command, script=_RECORDED, RECORD_TO="run.jsonl")
        assert done == 0, job.output()
    used = used_rights(job.folder / "run.jsonl", database.name)
    assert used == _PIPELINE
    assert {(name, action) for name, actions in NEEDED.items() for action in actions} == _PIPELINE
    check = ["main.py", "check", "--pipeline", "stock"]
    assert job.run(*check, script=_RECORDED, RECORD_TO="check.jsonl") == 0, job.output()
    assert used_rights(job.folder / "check.jsonl", database.name) <= _PIPELINE


def _read_pages(data: StockData) -> Standing:
    """Everything that the Administrator's and the User's page read."""
    standing, found = data.standing(), data.search("tea")
    assert (standing.fault, found.fault) == (None, None)
    assert standing.value is not None
    assert found.value
    return standing.value


def test_the_pages_need_no_more_than_to_read(
    mongo_uri: str, limited_door: str, database: Database[dict[str, Any]]
) -> None:
    """Without rights a sentence with the remedy, with the documented ones the same as anybody sees."""
    write_events(database, shop_events())
    address = {"stock_db_name": database.name, "mongo_uri": mongo_uri, "dashboard_mongo_uri": limited_door}
    settings = load(env_file=None, **address)
    refused = open_data(settings).standing()
    assert refused.value is None
    assert refused.fault == "MongoDB refuses the dashboard's user: give it the role read on STOCK_DB_NAME."
    assert {action for _, action in _READER} == {"find"}
    for name, _ in _READER:
        run_script("grant", database.name, name, "read")
    seen = _read_pages(open_data(settings))
    assert seen == _read_pages(StockData(database))
    assert all((seen.winners, seen.risks, seen.clients))
    asker: MongoClient[dict[str, Any]] = MongoClient(limited_door)
    others = set(database.list_collection_names()) - {name for name, _ in _READER}
    attempts: list[Callable[[], Any]] = [
        *(lambda name=name: asker[database.name][name].find_one() for name in others),
        *(lambda name=name: asker[database.name][name].insert_one({}) for name, _ in _READER),
        *(lambda name=name: asker[database.name][name].delete_many({}) for name, _ in _READER),
    ]
    assert others == {"product_totals"}
    for attempt in attempts:
        with pytest.raises(PyMongoError, match=r"permission denied|must be owner"):
            attempt()
    asker.close()
