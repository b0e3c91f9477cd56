"""`pulse mcp` as a model's program starts it, on a real server."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from pymongo.database import Database

from pipelines.catalog import PIPELINES
from tests.support.analytics_documents import analytics_documents
from tests.support.job import ROOT

_NOW = datetime.now(timezone.utc)


async def _called(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    result = await client.call_tool(tool, arguments)
    return json.loads(result.content[0].text)  # type: ignore[union-attr]


def test_the_program_speaks_it_on_standard_input_and_output(
    tmp_path: Path, database: Database[dict[str, Any]], mongo_uri: str
) -> None:
    """As a model's program starts it; a real server, and nothing but the protocol on standard output."""
    database["analytics"].insert_many(analytics_documents(2, _NOW - timedelta(minutes=1)))
    database["analytics"].create_index("expiresAt")
    database["analytics"].create_index([("userId", 1), ("timeRange", 1), ("metricType", 1)])
    environment = {**os.environ, "MONGO_URI": mongo_uri, "MONGO_DB_NAME": database.name}
    started = StdioServerParameters(
        command=sys.executable, args=[str(ROOT / "pulse"), "mcp"], env=environment, cwd=tmp_path
    )

    async def conversation(client: Client) -> Any:
        state = await _called(client, "pipelines_state", {})
        out = await _called(client, "who_stands_out", {"days": 90})
        user = str(analytics_documents(2, _NOW)[0]["userId"])
        return state, out, await _called(client, "user_summary", {"user": user})

    async def run() -> Any:
        async with Client(started, read_timeout_seconds=120) as client:
            return await conversation(client)

    state, out, summary = anyio.run(run)
    assert [one["pipeline"] for one in state["pipelines"]] == [*PIPELINES]
    assert "events" in out
    assert "steps" in summary["metrics"]
