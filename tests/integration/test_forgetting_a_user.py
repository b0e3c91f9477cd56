"""After `ecommerce forget` no table and no letter knows the user, and every event is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from commands import pulse
from tests.support.command_line import Ended, run_command
from tests.support.shop import Shop, event

_USER = 'Zoë "C.*", O\'Brien %s \\ 😀'


@pytest.fixture
def shop(tmp_path: Path, events_dsn: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Events of two users, some of them refused."""
    made = Shop(tmp_path, events_dsn, spark)
    names = (
        "log_directory",
        "metrics_directory",
        "dlq_directory",
        "checkpoint_location",
        "ecommerce_input_path",
    )
    for name in names:
        monkeypatch.setenv(name.upper(), str(getattr(made.settings, name)))
    monkeypatch.setenv("POSTGRES_DSN", made.settings.postgres_dsn.get_secret_value())
    monkeypatch.chdir(tmp_path)
    mine, other = {"user_id": _USER}, {"user_id": f"{_USER}2"}
    made.put(
        [
            event(**mine),
            event(**mine),
            event(**other),
            event(**mine, event_type="no"),
            event(**other, price="?"),
        ]
    )
    assert made.run()
    return made


def _forget(*options: str) -> Ended:
    return run_command("ecommerce", "forget", _USER, "--yes", "--json", *options, app=pulse.app)


def _counts(ended: Ended) -> dict[str, int]:
    return {each["what"]: each["count"] for each in json.loads(ended.out)["found"] if each["count"]}


def _letters(shop: Shop) -> list[Any]:
    return [record["raw"] for letter in shop.letters() for record in letter.record["records"]]


def test_events_stay_and_the_user_goes(shop: Shop) -> None:
    """Counted, held by the file, then forgotten; another user with nearly the same id keeps everything."""
    events = shop.query("SELECT event_id, price, event_timestamp FROM user_events ORDER BY 1")
    held = _forget()
    assert (held.code, held.out) == (1, "")
    assert "the source still has 3 lines (" in held.err
    for path in shop.settings.ecommerce_input_path.rglob("*.csv"):
        path.unlink()
    assert _counts(_forget("--dry-run")) == {"events": 2, "records in dead letters": 1}
    done = _forget()
    assert (done.code, _counts(done)) == (0, {"events": 2, "records in dead letters": 1}), done.err
    assert shop.query("SELECT event_id, price, event_timestamp FROM user_events ORDER BY 1") == events
    known = json.loads(done.out)["person"]["pseudonym"]
    users = shop.query("SELECT user_id, count(*) FROM user_events GROUP BY 1 ORDER BY 1")
    assert sorted(users) == sorted([(known, 2), (f"{_USER}2", 1)])
    assert len(_letters(shop)) == 1
    assert json.dumps(_USER)[1:-1] not in done.out
    again = _forget()
    assert (again.code, _counts(again)) == (0, {})
