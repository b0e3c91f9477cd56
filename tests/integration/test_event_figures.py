"""`main.py metrics ecommerce` on a real PostgreSQL: literal rows and the numbers they must give."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from contracts import ConfigurationError
from main import app
from pipelines.ecommerce.figures import load_figures
from pipelines.ecommerce.pipeline import ECOMMERCE
from settings import load
from sinks.ecommerce.schema import ensure_tables
from sources.ecommerce import figures as event_figures
from sources.ecommerce.figures import EventFigures, Spread, read_figures
from tests.support.monitoring_stack import lacking_metrics, promtool
from tests.support.postgres_servers import fresh_role
from tests.support.shop import Shop, event, events
from tests.support.shop_rows import insert_batch, insert_event

FIVE_MINUTES = timedelta(minutes=5)


def _fill(connection: psycopg.Connection[Any]) -> None:
    """Two batches of the last five minutes and one of an hour ago; four events and one of then."""
    insert_batch(connection, 240, 2, (6, 2), {"invalid_price": 2})
    insert_batch(connection, 120, 4, (12, 6), {"invalid_price": 1, "corrupt": 1})
    insert_batch(connection, 3601, 60, (1000, 0), {"corrupt": 5})
    for latency in (1, 2, 3, 10):
        insert_event(connection, 100, latency)
    insert_event(connection, 3500, 500)


def test_every_figure_is_that_of_the_rows_in_the_window(connection: psycopg.Connection[Any]) -> None:
    """By hand: 18 events in 300 s; 8 of 26 duplicates; latencies 1, 2, 3, 10 s; batches of 2 and 4 s."""
    _fill(connection)
    found = read_figures(connection, FIVE_MINUTES)
    assert (found.batches, found.records_in, found.inserted, found.duplicates) == (2, 30, 18, 8)
    assert found.rejected == {"invalid_price": 3, "corrupt": 1}
    assert found.seconds == 300
    assert found.events_per_second == pytest.approx(0.06)
    assert found.duplicate_rate == pytest.approx(8 / 26)
    assert _values(found.latency) == pytest.approx((4, 2.5, 8.95, 10))
    assert _values(found.batch_seconds) == pytest.approx((3, 3, 3.9, 4))
    assert found.last_commit is not None
    assert 116 <= (found.now - found.last_commit).total_seconds() < 180


def _values(spread: Spread) -> tuple[Any, ...]:
    return spread.avg, spread.p50, spread.p95, spread.max


def test_a_young_pipeline_is_measured_from_its_firstinsert_batch(connection: psycopg.Connection[Any]) -> None:
    """Not over five minutes of which it did not see the most."""
    insert_batch(connection, 100, 5, (1000, 0), {})
    found = read_figures(connection, FIVE_MINUTES)
    assert 100 <= found.seconds < 200
    assert found.events_per_second == pytest.approx(1000 / found.seconds)


def test_an_idle_and_an_empty_pipeline_have_no_figures(connection: psycopg.Connection[Any]) -> None:
    """Nothing is divided by nothing; when the last batch was is told all the same."""
    empty = Spread(None, None, None, None)
    found = read_figures(connection, FIVE_MINUTES)
    assert (found.batches, found.events_per_second, found.duplicate_rate) == (0, 0, None)
    assert (found.latency, found.batch_seconds, found.last_commit) == (empty, empty, None)
    insert_batch(connection, 3600, 1, (5, 5), {})
    idle = read_figures(connection, FIVE_MINUTES)
    assert (idle.events_per_second, idle.duplicate_rate, idle.batch_seconds) == (0, None, empty)
    assert idle.last_commit is not None


def test_no_figure_costs_a_look_at_the_whole_table(connection: psycopg.Connection[Any]) -> None:
    """The server's own plans for a hundred thousand events and ten thousand batches of many days."""
    connection.execute(
        "INSERT INTO user_events SELECT gen_random_uuid(), 'user', 'product', 'name', 'category', 'view',"
        " NULL, now() - (100000 - n) * interval '20 seconds', now() - (100000 - n) * interval '20 seconds'"
        " FROM generate_series(1, 100000) AS n"
    )
    connection.execute(
        "INSERT INTO user_event_batches SELECT gen_random_uuid(), n, 1, 1, 0, '{}', '{}', t, t FROM"
        " (SELECT n, now() - n * interval '3 minutes' AS t FROM generate_series(1, 10000) AS n) AS batches"
    )
    connection.execute("VACUUM ANALYZE user_events, user_event_batches")
    found = read_figures(connection, FIVE_MINUTES)
    moments = {"now": found.now, "since": found.now - FIVE_MINUTES}
    for name in ("_BATCHES", "REJECTED", "_LATENCY", "FIRST_START", "_LAST_COMMIT"):
        plan = connection.execute(f"EXPLAIN {getattr(event_figures, name)}", moments).fetchall()
        assert "Seq Scan" not in str(plan), plan
        assert "Index" in str(plan), plan


def _invoke(dsn: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("POSTGRES_DSN", dsn)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner().invoke(app, ["metrics", "ecommerce", *arguments], catch_exceptions=False)


def test_the_command_tells_people_and_scripts(
    connection: psycopg.Connection[Any], events_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers; a user who may only read suffices."""
    _fill(connection)
    with fresh_role(events_dsn, "SELECT ON user_events, user_event_batches") as reader:
        shown = _invoke(reader, monkeypatch).stdout
        document = json.loads(_invoke(reader, monkeypatch, "--json").stdout)
    assert "0.1 events/s over 300 s" in shown
    assert "avg 4.00 s, p50 2.50 s, p95 8.95 s, max 10.00 s" in shown
    assert "avg 3.00 s, p50 3.00 s, p95 3.90 s, max 4.00 s (2 batches)" in shown
    assert "30.77% of the valid records" in shown
    assert "30 in = 18 inserted + 8 duplicates + 4 rejected" in shown
    assert "3 × invalid_price, 1 × corrupt" in shown
    assert document["latency_seconds"] == pytest.approx({"avg": 4, "p50": 2.5, "p95": 8.95, "max": 10})
    assert document["rejected"] == {"invalid_price": 3, "corrupt": 1}
    assert document["events_per_second"] == pytest.approx(0.06)
    assert json.loads(_invoke(events_dsn, monkeypatch, "--json", "--minutes", "90").stdout)["batches"] == 3


def test_what_is_missing_is_told_with_the_remedy(events_dsn: str) -> None:
    """No server, no tables, no right to read: one sentence each, without the password."""

    def fault(dsn: str) -> str:
        with pytest.raises(ConfigurationError) as raised:
            load_figures(load(env_file=None, postgres_dsn=dsn), FIVE_MINUTES)
        return str(raised.value)

    assert "Start it or correct POSTGRES_DSN" in fault("postgresql://nobody:hunter2@127.0.0.1:1/x")
    assert "no tables of the e-commerce pipeline" in fault(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        ensure_tables(connection)
    with fresh_role(events_dsn) as stranger:
        refused = fault(stranger)
    assert "GRANT SELECT" in refused
    assert "hunter2" not in refused


def test_prometheus_gets_the_same_figures(tmp_path: Path, events_dsn: str, spark: SparkSession) -> None:
    """Throughput, latency, batch time, duplicates, refusals of a run; promtool and alerts read them."""
    shop = Shop(tmp_path, events_dsn, spark)
    sent = events(40)
    shop.put([*sent, *sent[:10], event(event_type="click"), event(event_type="purchase", price="-1")])
    assert shop.run()
    figures = load_figures(shop.settings, FIVE_MINUTES)
    content = (shop.settings.metrics_directory / "ecommerce_metrics.prom").read_bytes()
    samples = dict(line.rsplit(" ", 1) for line in content.decode().splitlines() if line[0] != "#")
    _assert_same(figures, {name: float(value) for name, value in samples.items()})
    checked = promtool("check", "metrics", content=content)
    complaints = [line for line in checked.stdout.splitlines() if "average_processing_time_ms" not in line]
    # promtool names the seed's one abbreviated unit, and nothing else.
    assert complaints == [], checked.stdout
    assert lacking_metrics(ECOMMERCE, content.decode()) == {}


def _assert_same(figures: EventFigures, samples: dict[str, float]) -> None:
    assert samples["ecommerce_records_inserted_total"] == figures.inserted == 40
    assert samples["ecommerce_records_skipped_total"] == figures.duplicates == 10
    assert figures.rejected == {"invalid_event_type": 1, "negative_price": 1}
    for reason, count in figures.rejected.items():
        assert samples[f'ecommerce_rejected_total{{reason="{reason}"}}'] == count
    assert samples["ecommerce_event_latency_seconds_count"] == 40
    assert figures.latency.avg == pytest.approx(samples["ecommerce_event_latency_seconds_sum"] / 40)
    assert figures.latency.max == pytest.approx(samples["ecommerce_event_latency_max_seconds"])
    assert samples["ecommerce_batch_duration_seconds_count"] == figures.batches == 1
    # The ledger's is from the transaction's start to its commit; reading and telling come on top.
    whole, outside = samples["ecommerce_batch_duration_seconds_sum"], 0.5
    assert figures.batch_seconds.max is not None
    assert 0 <= whole - figures.batch_seconds.max < outside + whole / 2
