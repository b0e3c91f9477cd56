"""What a model gets when it asks through the official client: bounded, masked, without values unasked."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from contracts import Rejected, ServiceError
from contracts.health_metrics import METRICS
from dashboard.asking.server import answered, build
from dashboard.asking.tools import MOST, Asked, Questions
from dashboard.data.health_data import HealthData
from dashboard.data.service_files import ServiceFiles
from monitoring import logs
from pipelines.catalog import PIPELINES
from settings import load
from simulation.health.population import PATTERN_USER_ID, worked_example
from sources.mongo_client import connect
from tests.support.analytics_documents import analytics_documents

_NOW = datetime.now(timezone.utc)
_TOOLS = {"pipelines_state", "who_stands_out", "user_summary", "letters_summary", "explain"}


class Installation:
    """Some people's results, one person's documents, and letters; a model that asks about them."""

    def __init__(self, folder: Path) -> None:
        database = connect(f"mongomock://{secrets.token_hex(8)}")["d"]
        documents = analytics_documents(3, _NOW)
        database["analytics"].insert_many([dict(document) for document in documents])
        database["healthmetrics"].insert_many(worked_example(PATTERN_USER_ID, _NOW.date()))
        self.users = sorted({str(document["userId"]) for document in documents})
        settings = load(None, mongo_uri="mongomock://x", dlq_directory=folder / "dlq")
        for one in (PIPELINES["health"], PIPELINES["stock"]):
            records = [
                Rejected({"_id": n, "secret": "c4nary"}, "out_of_range", "metrics.steps") for n in range(3)
            ]
            one.open_letters(settings).store(records, "b", _NOW)
        files = ServiceFiles("", folder, folder, 60.0)
        self._pipelines = [
            Asked(one.name, one.title, files, partial(one.open_desk, settings)) for one in PIPELINES.values()
        ]
        self._data = HealthData(database["analytics"], folder, folder, "UTC", database["healthmetrics"])

    def ask(self, tool: str, with_values: Any = False, **arguments: Any) -> Any:
        """The answer, as the client has it."""
        server = build(Questions(self._pipelines, self._data, with_values, lambda: _NOW))
        return _in(server, lambda client: _called(client, tool, arguments))


def _in(server: Any, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Client(server, read_timeout_seconds=60) as client:
            return await work(client)

    return anyio.run(run)


async def _called(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return {"refused": result.content[0].text}  # type: ignore[union-attr]
    return json.loads(result.content[0].text)  # type: ignore[union-attr]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Nothing runs."""
    return Installation(tmp_path)


def test_every_tool_only_reads_and_says_so(installation: Installation) -> None:
    """With a sentence for the model."""

    async def listed(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = _in(build(Questions([], installation._data, False)), listed)
    assert {tool.name for tool in tools} == _TOOLS
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools)


def test_the_state_of_each_pipeline(installation: Installation) -> None:
    """And how many letters wait."""
    found = {one["pipeline"]: one for one in installation.ask("pipelines_state")["pipelines"]}
    assert found.keys() == PIPELINES.keys()
    assert (found["health"]["state"], found["health"]["dead_letters"]) == ("running", 3)
    assert (found["esports"]["state"], found["esports"]["dead_letters"]) == ("not started", 0)


def test_letters_are_told_by_reason_without_their_records(installation: Installation) -> None:
    """An unknown pipeline is a sentence."""
    found = installation.ask("letters_summary", pipeline="stock")
    assert (found["waiting"], found["reasons"][0]["letters"]) == (3, 3)
    assert "c4nary" not in str(found)
    assert "none of health" in installation.ask("letters_summary", pipeline="no")["error"]


def _numbers(value: Any) -> set[str]:
    return set(re.findall(r"\d+(?:[.]\d+)?", json.dumps(value).replace(",", "")))


def _values_of(data: HealthData, users: list[str]) -> set[str]:
    """Day values, means and the like of all people that no count, year or percentage looks like."""
    found: set[str] = set()
    for user in users:
        for result in (data.user(user).value or {}).values():
            numbers = [result.average, result.minimum, result.maximum, result.median, *result.history]
            found |= {form for number in numbers if number for form in (str(number), f"{number:g}")}
    return {number for number in found if float(number) > 2_100}


def test_no_answer_has_a_health_value_unless_that_is_allowed(installation: Installation) -> None:
    """Each tool about people, for everybody and every metric."""
    values = _values_of(installation._data, installation.users)
    assert len(values) > 300
    plain, full = [installation.ask("who_stands_out", days=90, limit=50)], []
    for user in installation.users:
        plain.append(installation.ask("user_summary", user=user))
        full.append(installation.ask("user_summary", True, user=user))
    whose = {"user": str(PATTERN_USER_ID), "time_range": "7day"}
    plain += [installation.ask("explain", metric=metric, **whose) for metric in METRICS]
    told = installation.ask("explain", True, metric="steps", **whose)
    assert _numbers(plain) & values == set()
    assert len(_numbers(full) & values) > 20
    assert (told["days_that_entered"], told["formulas"][0]["figure"]) == (7, "Rolling average")
    assert "sentence" in str(installation.ask("who_stands_out", True, days=90))


def test_lists_have_bounds(installation: Installation) -> None:
    """The client's own faults are refused before anything is read."""
    assert len(installation.ask("who_stands_out", days=90, limit=1)["events"]) == 1
    for arguments in ({"limit": MOST + 1}, {"limit": 0}, {"days": 91}):
        assert "refused" in installation.ask("who_stands_out", **arguments)
    assert "refused" in installation.ask("user_summary", user="' || true")
    assert "There are no results" in installation.ask("user_summary", user="0" * 24)["error"]


def test_a_fault_tells_nothing_that_is_secret() -> None:
    """What is meant for people is masked; of anything else only the kind is told."""
    logs.configure("ERROR", ["hunter2-hunter2"])

    def fails(error: Exception) -> Any:
        raise error

    sentence = answered(lambda: fails(ServiceError("mongodb://u:p4ss@h/ has hunter2-hunter2")))["error"]
    assert "hunter2" not in sentence
    assert "p4ss" not in sentence
    other = answered(lambda: fails(RuntimeError("hunter2-hunter2")))
    assert other == {"error": "It could not be answered (RuntimeError); the server's log says more."}
    assert answered(lambda: {"x": "hunter2-hunter2"}) != {"x": "hunter2-hunter2"}
