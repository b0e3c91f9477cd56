"""Databases that somebody else set up: other columns, missing rights, least rights; start-up and `check`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from contracts import ConfigurationError
from main import app
from pipelines.ecommerce.job import prepare_database
from settings import load
from sinks.ecommerce import connection as postgres_client
from sinks.ecommerce.schema import ensure_tables
from tests.support.postgres_servers import fresh_database, fresh_role
from tests.support.refusing_server import refusing_server
from tests.support.shop import Shop, events
from tests.support.toxiproxy import free_port

LEAST = (
    "USAGE, CREATE ON SCHEMA public",
    "SELECT, INSERT ON user_events",
    "SELECT, INSERT, UPDATE ON user_event_batches",
)


def _make_tables(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        ensure_tables(connection)


def _refusal(dsn: str, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        prepare_database(load(env_file=None, postgres_dsn=dsn, **settings))
    return str(raised.value)


def test_a_server_that_stays_away_is_one_clear_error_after_the_wait(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked again and again until the time was over; address and setting are named, no password."""
    monkeypatch.setattr(postgres_client, "_WAIT_SECONDS", 0.2)
    port = free_port()
    before = time.monotonic()
    refusal = _refusal(f"postgresql://app:hunter2@127.0.0.1:{port}/shop", postgres_wait_seconds=0.7)
    assert 0.7 <= time.monotonic() - before < 30
    assert f"127.0.0.1:{port}/shop did not answer within 0.7 seconds" in refusal
    assert "correct POSTGRES_DSN" in refusal
    told = capsys.readouterr().out
    assert told.count("is not ready, retrying in 0.2s") >= 3
    assert "hunter2" not in refusal + told


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE {role} NOLOGIN",
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
        "ALTER DATABASE {database} ALLOW_CONNECTIONS false",
    ],
)
def test_a_server_that_refuses_the_user_or_database_is_told_at_once(postgres_dsn: str, change: str) -> None:
    """It answers, so nobody has to start it."""
    with fresh_database(postgres_dsn) as dsn, fresh_role(dsn) as stranger:
        parts = psycopg.conninfo.conninfo_to_dict(stranger)
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(change.format(role=parts["user"], database=parts["dbname"]))
            before = time.monotonic()
            refusal = _refusal(stranger, postgres_wait_seconds=60)
            connection.execute(f"ALTER DATABASE {parts['dbname']} ALLOW_CONNECTIONS true")
    assert time.monotonic() - before < 30
    assert "refuses the connection (" in refusal
    assert "Start it" not in refusal


@pytest.mark.parametrize(
    ("severity", "sqlstate", "message"),
    [
        ("FATAL", "28P01", "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen"),
        ("ВАЖНО", "28000", 'для роли "app" вход запрещён'),
        ("致命错误", "3D000", '数据库 "shop" 不存在'),
        ("FATAL", "57P03", "das Datenbanksystem startet"),
        ("FATAL", "53300", "sorry, too many clients already"),
        ("FATAL", "57P03", "the database system is starting up"),
    ],
)
def test_a_server_that_answers_in_any_language_refuses(
    monkeypatch: pytest.MonkeyPatch, severity: str, sqlstate: str, message: str
) -> None:
    """After the wait, because it may just be starting; nobody is told to start it."""
    monkeypatch.setattr(postgres_client, "_WAIT_SECONDS", 0.1)
    with refusing_server(severity, sqlstate, message) as dsn:
        before = time.monotonic()
        refusal = _refusal(dsn, postgres_wait_seconds=0.5)
    assert time.monotonic() - before >= 0.5
    assert f"refuses the connection ({severity}:  {message})" in refusal
    assert "Do what it says" in refusal
    assert "Start it" not in refusal
    assert "hunter2" not in refusal


def test_by_default_the_wait_is_30_times_2_seconds() -> None:
    """As the seed has it."""
    assert load(env_file=None).postgres_wait_seconds == 60
    asked, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        asked[0] += seconds

    with pytest.raises(ConfigurationError):
        postgres_client.wait_for_server(
            f"postgresql://app@127.0.0.1:{free_port()}/x", 60, lambda _line: None, lambda: asked[0], sleep
        )
    assert slept == [2.0] * 30


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE user_events DROP COLUMN price", "user_events has no column price"),
        ("ALTER TABLE user_events ALTER user_id TYPE VARCHAR(20)", "user_id of type character varying(20)"),
        ("ALTER TABLE user_events ADD shop_id INT NOT NULL", "shop_id that needs a value"),
        ("ALTER TABLE user_events DROP CONSTRAINT user_events_pkey", "no unique index on event_id"),
        ("ALTER TABLE user_event_batches DROP COLUMN rejected", "user_event_batches has no column rejected"),
    ],
)
def test_tables_of_somebody_else_are_left_alone_and_named(events_dsn: str, change: str, told: str) -> None:
    """One error with table, column and remedy, before anything is read; the table stays as it was."""
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        connection.execute(change)
    refusal = _refusal(events_dsn)
    assert told in refusal
    assert "Rename that table" in refusal
    assert "\n" not in refusal


_FUNCTION = """
    CREATE FUNCTION "of Shop"() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF NEW IS NULL THEN RAISE 'no row'; END IF; %s RETURN NEW; END$$
"""
_TRIGGER = 'CREATE TRIGGER "t %s" %s ON %s FOR EACH ROW EXECUTE FUNCTION "of Shop"()'
_KEY = "ALTER TABLE user_events DROP CONSTRAINT user_events_pkey"
_COLUMNS = (
    "event_id uuid PRIMARY KEY, user_id text, product_id text, product_name text, product_category text,"
    " event_type text, price numeric(10,2), event_timestamp timestamptz,"
    " ingested_at timestamptz DEFAULT now()"
)
_PARTITIONED = (
    "DROP TABLE user_events",
    f"CREATE TABLE user_events ({_COLUMNS}) PARTITION BY HASH (event_id)",
)
_PARTITION = "CREATE TABLE part PARTITION OF user_events FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
# Each would fail every batch, or change what is stored behind the batch's back.
_UNFIT: list[tuple[tuple[str, ...], str]] = [
    ((_KEY, "ALTER TABLE user_events ADD PRIMARY KEY (event_id) DEFERRABLE"), "no unique index on event_id"),
    (
        (_KEY, "CREATE UNIQUE INDEX x ON user_events (event_id, lower(user_id))"),
        "no unique index on event_id",
    ),
    ((_KEY, "CREATE UNIQUE INDEX x ON user_events (event_id, user_id)"), "no unique index on event_id"),
    (
        (_KEY, "CREATE UNIQUE INDEX x ON user_events (event_id) WHERE price > 0"),
        "no unique index on event_id",
    ),
    (
        (_KEY, "CREATE UNIQUE INDEX x ON user_events (user_id) INCLUDE (event_id)"),
        "no unique index on event_id",
    ),
    (
        (
            "ALTER TABLE user_events DROP product_category",
            "ALTER TABLE user_events ADD product_category TEXT GENERATED ALWAYS AS (lower(user_id)) STORED",
        ),
        "product_category",
    ),
    (("ALTER TABLE user_events ALTER ingested_at DROP DEFAULT",), "ingested_at"),
    (
        (
            "ALTER TABLE user_events ALTER ingested_at DROP DEFAULT",
            "ALTER TABLE user_events ALTER ingested_at DROP NOT NULL",
        ),
        "ingested_at stays empty",
    ),
    (("CREATE RULE r AS ON INSERT TO user_events DO INSTEAD NOTHING",), "RETURNING"),
    (("CREATE RULE r AS ON INSERT TO user_events DO ALSO NOTIFY x",), "rules"),
    (("CREATE RULE r AS ON INSERT TO user_event_batches DO INSTEAD NOTHING",), "RETURNING"),
    (_PARTITIONED, "no partition"),
    (("ALTER TABLE user_event_batches ALTER reported DROP DEFAULT",), "reported"),
    ((_FUNCTION % "", _TRIGGER % (1, "BEFORE INSERT", "user_events")), 'DROP TRIGGER "t 1" ON user_events'),
    ((_FUNCTION % "", _TRIGGER % (1, "BEFORE INSERT OR UPDATE", "user_events")), "DROP TRIGGER"),
    ((_FUNCTION % "", _TRIGGER % (1, "BEFORE UPDATE", "user_event_batches")), "ON user_event_batches"),
    ((*_PARTITIONED, _PARTITION, _FUNCTION % "", _TRIGGER % (1, "BEFORE INSERT", "part")), "ON part"),
    (
        (*_PARTITIONED, _PARTITION, _FUNCTION % "", _TRIGGER % (1, "BEFORE INSERT", "user_events")),
        "ON user_events",
    ),
]
_FIT: list[tuple[str, ...]] = [
    (_KEY, "CREATE UNIQUE INDEX x ON user_events (event_id) INCLUDE (user_id)"),
    (*_PARTITIONED, _PARTITION),
    (
        "CREATE TABLE users (id TEXT PRIMARY KEY)",
        "ALTER TABLE user_events ADD FOREIGN KEY (user_id) REFERENCES users",
    ),
    ("ALTER TABLE user_events ADD CHECK (product_category <> 'c')",),
    (
        "INSERT INTO user_events VALUES (gen_random_uuid(), 'u', 'p', 'n', 'c', 'view', NULL, now())",
        "ALTER TABLE user_events ADD UNIQUE (user_id)",
    ),
    (_FUNCTION % "RAISE 'not this user';", _TRIGGER % (1, "AFTER INSERT", "user_events")),
    (_FUNCTION % "", _TRIGGER % (1, "BEFORE UPDATE OR DELETE", "user_events")),
    (
        _FUNCTION % "",
        _TRIGGER % (1, "BEFORE INSERT", "user_events"),
        "ALTER TABLE user_events DISABLE TRIGGER USER",
    ),
    (
        "ALTER TABLE user_events ADD n BIGSERIAL",
        "ALTER TABLE user_events ADD UNIQUE (user_id, event_timestamp)",
    ),
]


@pytest.mark.parametrize(("changes", "told"), _UNFIT)
def test_a_table_that_takes_no_event_as_it_is_ends_the_start(
    events_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Sequence[str], told: str
) -> None:
    """In one line with the server's words or the trigger, as `check` does; not in each batch."""
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        for change in changes:
            connection.execute(change)
    refusal = _refusal(events_dsn)
    assert told in refusal
    assert "\n" not in refusal
    code, rows = _check(monkeypatch, events_dsn, tmp_path)
    assert (code, rows["Tables"]["status"]) == (2, "failed")
    assert told in rows["Tables"]["detail"] + rows["Tables"]["remedy"]


@pytest.mark.parametrize("changes", _FIT)
def test_what_only_some_events_break_is_left_to_the_owner(events_dsn: str, changes: Sequence[str]) -> None:
    """And what does no harm; the start leaves nothing behind."""
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        for change in changes:
            connection.execute(change)
        before = connection.execute("SELECT count(*) FROM user_events").fetchall()
    prepare_database(load(env_file=None, postgres_dsn=events_dsn))
    with psycopg.connect(events_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM user_events").fetchall() == before
        assert connection.execute("SELECT count(*) FROM user_event_batches").fetchall() == [(0,)]


def test_a_sequence_that_the_user_may_not_use_is_told(events_dsn: str) -> None:
    """It fills a further column, so no GRANT on the tables helps."""
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        connection.execute("ALTER TABLE user_events ADD n BIGSERIAL")
    with fresh_role(events_dsn, *LEAST) as worker:
        assert "sequence user_events_n_seq" in _refusal(worker)


def test_further_columns_that_fill_themselves_do_no_harm(
    tmp_path: Path, events_dsn: str, spark: SparkSession
) -> None:
    """A column with a default, an identity, another index."""
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        connection.execute("ALTER TABLE user_events ADD note TEXT, ADD source TEXT NOT NULL DEFAULT 'csv'")
        connection.execute("ALTER TABLE user_events ADD n BIGINT GENERATED ALWAYS AS IDENTITY")
    shop = Shop(tmp_path, events_dsn, spark)
    shop.put(events(5))
    assert shop.run()
    shop.assert_accounted(5)


def test_the_least_rights_suffice(tmp_path: Path, events_dsn: str, spark: SparkSession) -> None:
    """Those of docs/ecommerce.md, with tables that an administrator made; a batch leaves nothing behind.

    What a killed process of another user left cannot be dropped, and holds nothing up.
    """
    _make_tables(events_dsn)
    with psycopg.connect(events_dsn) as connection:
        connection.execute("CREATE TABLE ecommerce_staging_of_another_user ()")
    with fresh_role(events_dsn, *LEAST) as worker:
        shop = Shop(tmp_path, worker, spark)
        sent = events(20)
        shop.put([*sent, *sent[:3], {**sent[0], "event_type": "click"}])
        assert shop.run()
        shop.assert_accounted(24)
        left = shop.query("SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%'")
        assert left == [("ecommerce_staging_of_another_user",)]


def test_a_user_who_may_only_insert_is_told_what_is_missing(events_dsn: str) -> None:
    """As the GRANT statements that mend it, which then do."""
    _make_tables(events_dsn)
    with fresh_role(events_dsn, "INSERT ON user_events, user_event_batches") as worker:
        refusal = _refusal(worker)
        grants = refusal.partition("Let it: ")[2].split("; ")
        assert len(grants) == 4, refusal
        with psycopg.connect(events_dsn) as connection:
            for grant in grants:
                connection.execute(grant)
        prepare_database(load(env_file=None, postgres_dsn=worker))


def test_a_user_who_may_make_no_tables_is_told_so(events_dsn: str) -> None:
    """In an empty database: the right that is missing."""
    with fresh_role(events_dsn) as stranger:
        refusal = _refusal(stranger)
    assert "may not make tables" in refusal
    assert "GRANT CREATE" in refusal


def _check(monkeypatch: pytest.MonkeyPatch, dsn: str, folder: Path) -> tuple[int, dict[str, dict[str, str]]]:
    for name in ("LOG_DIRECTORY", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "CHECKPOINT_LOCATION"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("ECOMMERCE_INPUT_PATH", str(folder / "incoming"))
    monkeypatch.setenv("POSTGRES_DSN", dsn)
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["check", "--pipeline", "ecommerce", "--json"])
    return done.exit_code, {row["name"]: row for row in json.loads(done.stdout)["checks"]}


def test_check_tells_what_the_pipeline_needs(
    events_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first start, ready, with a missing right, with a foreign table, without a server."""
    code, rows = _check(monkeypatch, events_dsn, tmp_path)
    assert code == 0
    assert "not there yet" in rows["Tables"]["detail"]
    assert rows["ECOMMERCE_INPUT_PATH"]["status"] == "warning"
    assert not any("Mongo" in name for name in rows)
    _make_tables(events_dsn)
    (tmp_path / "incoming").mkdir()
    for name in ("a.csv", ".tmp_b.csv", "c.txt"):
        (tmp_path / "incoming" / name).write_text("")
    (tmp_path / "incoming" / "loop").symlink_to("loop")
    with fresh_role(events_dsn, *LEAST) as worker:
        code, rows = _check(monkeypatch, worker, tmp_path)
        assert code == 0, rows
        names = ("PostgreSQL", "Tables", "Rights", "ECOMMERCE_INPUT_PATH")
        assert [rows[name]["status"] for name in names] == ["ok"] * 4
        assert "1 files; 2 names are passed over" in rows["ECOMMERCE_INPUT_PATH"]["detail"]
        with monkeypatch.context() as retention:
            retention.setenv("ECOMMERCE_KEEP_DAYS", "30")
            code, rows = _check(retention, worker, tmp_path)
        assert (code, "GRANT DELETE ON" in rows["Rights"]["remedy"]) == (2, True)
    with fresh_role(events_dsn, *LEAST[:2]) as worker:
        code, rows = _check(monkeypatch, worker, tmp_path)
        assert (code, rows["Rights"]["status"]) == (2, "failed")
        assert "GRANT UPDATE ON" in rows["Rights"]["remedy"]
    with psycopg.connect(events_dsn) as connection:
        connection.execute("ALTER TABLE user_events RENAME price TO cost")
    code, rows = _check(monkeypatch, events_dsn, tmp_path)
    assert (code, rows["Tables"]["status"]) == (2, "failed")
    assert "price" in rows["Tables"]["detail"]
    code, rows = _check(monkeypatch, f"postgresql://app@127.0.0.1:{free_port()}/x", tmp_path)
    assert (code, rows["PostgreSQL"]["status"], rows["Tables"]["status"]) == (2, "failed", "skipped")
