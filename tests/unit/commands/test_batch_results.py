"""What a one-shot run shows at its end."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId
from rich.console import Console

from commands.batch_results import RunResults, print_results


def test_a_users_id_stands_on_one_line() -> None:
    """As the title of a table of two narrow columns it was broken, and nobody could copy it."""
    user, out = ObjectId(), io.StringIO()
    day = {"date": datetime(2026, 11, 28, tzinfo=timezone.utc), "value": 8000}
    document: dict[str, Any] = {
        "userId": user, "metricType": "steps", "timeRange": "30day", "analytics": {}, "historicalData": [day],
    }  # fmt: skip
    print_results(RunResults([document], 1, 0), Console(file=out, width=80))
    assert f"user {user}\n" in out.getvalue()
    assert "2026-11-28" in out.getvalue()
