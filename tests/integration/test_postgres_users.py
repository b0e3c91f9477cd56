"""The users of Compose's PostgreSQL, on a real server: who makes the tables, and who may only read them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dashboard.data.events_database import reading
from sinks.ecommerce.schema import ensure_tables
from tests.support.deployment import DEPLOY
from tests.support.missing import missing
from tests.support.postgres_servers import fresh_database


@pytest.fixture
def own() -> Iterator[str]:
    """An ending for roles, which are those of a whole server; they are gone afterwards."""
    dsn = os.environ.get("POSTGRES_TEST_DSN") or missing("POSTGRES_TEST_DSN is not set")
    ending = f"_{secrets.token_hex(4)}"
    yield ending
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role in (f"shop{ending}", f"viewer{ending}"):
            connection.execute(f"DROP ROLE IF EXISTS {role}")


def test_the_pipeline_makes_its_tables_and_pages_can_only_read_them(tmp_path: Path, own: str) -> None:
    """The image's script, which may run again: no superuser, any password, no right but those."""
    if shutil.which("psql") is None:
        missing("psql is missing: apt-get install postgresql-client")
    script = tmp_path / "users.sh"
    script.write_text(re.sub(r"\b(shop|viewer)\b", rf"\1{own}", (DEPLOY / "postgres/users.sh").read_text()))
    with fresh_database(os.environ["POSTGRES_TEST_DSN"]) as database:
        server = psycopg.conninfo.conninfo_to_dict(database)
        given = {"POSTGRES_USER": "user", "POSTGRES_DB": "dbname", "PGHOST": "host", "PGPORT": "port"}
        around = {name: str(server[key]) for name, key in given.items()}
        around |= {
            "POSTGRES_PASSWORD_SHOP": "it's",
            "POSTGRES_PASSWORD_VIEWER": "v",
            "PATH": os.environ["PATH"],
        }
        for _ in range(2):
            run = subprocess.run(["sh", script], env=around, capture_output=True, text=True, check=False)
            assert (run.returncode, run.stderr) == (0, "")
        place = database.partition("@")[2]
        with psycopg.connect(f"postgresql://shop{own}:it%27s@{place}", autocommit=True) as shop:
            ensure_tables(shop)
            found = shop.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
            assert found == (False,)
        with reading(f"postgresql://viewer{own}:v@{place}") as pages:
            assert pages.execute("SELECT count(*) FROM user_events").fetchone() == (0,)
        with psycopg.connect(f"postgresql://viewer{own}:v@{place}", autocommit=True) as viewer:
            for refused in ("DELETE FROM user_events", "CREATE TABLE mine (a int)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    viewer.execute(refused)
