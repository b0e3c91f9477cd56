"""Days as data points of Open mHealth and IEEE 1752.1: a header that names the schema, and a body of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from analytics.health.codes import OWN_CODES, code_of
from analytics.health.formulas import day_name

_ACTIVITY: Final = "physical-activity"


def data_point(user: str, metric: str, day: int, value: float, timezone: str) -> dict[str, Any]:
    """The `value` of a `day` (since 1970-01-01) of the person `user`, whose days are those of `timezone`.

    Its uuid is the same each time.
    """
    code = code_of(metric)
    namespace, name, version = code.schema
    start = datetime.fromisoformat(day_name(day)).replace(tzinfo=ZoneInfo(timezone))
    interval = {
        "start_date_time": start.isoformat(),
        "end_date_time": (start.replace(tzinfo=None) + timedelta(days=1))
        .replace(tzinfo=start.tzinfo)
        .isoformat(),
    }
    return {
        "header": {
            "uuid": str(uuid5(NAMESPACE_URL, f"{OWN_CODES}:{user}/{metric}/{day_name(day)}")),
            "schema_id": {"namespace": namespace, "name": name, "version": version},
            "source_creation_date_time": interval["end_date_time"],
            "user_id": user,
        },
        "body": {
            **({"activity_name": "all activity of the day"} if name == _ACTIVITY else {}),
            code.field: {"value": value, "unit": code.unit},
            "effective_time_frame": {"time_interval": interval},
        },
    }
