"""PostgreSQL over TLS with a password: who gets in, and what is said at once to who does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from commands.checks.postgres import reachable
from contracts import ConfigurationError
from pipelines.ecommerce.local_server import LocalServer
from settings import load
from sinks.ecommerce.connection import session, wait_for_server
from tests.support.canaries import canary
from tests.support.certificates import Certificates, make_certificates
from tests.support.waiting import wait_for

_PASSWORD = canary("c4nary@/:")


def _dsn(port: int, authority: Path, host: str = "localhost", password: str = _PASSWORD) -> str:
    user = f"secure:{quote(password, safe='')}"
    query = f"sslmode=verify-full&sslrootcert={quote(str(authority), safe='')}"
    return f"postgresql://{user}@{host}:{port}/ecommerce?{query}"


def _refused(dsn: str) -> str:
    """What a start says, at once, and `check` too."""
    waited: list[str] = []
    with pytest.raises(ConfigurationError) as raised:
        wait_for_server(dsn, 60, waited.append)
    assert waited == []
    text = str(raised.value)
    assert reachable(load(env_file=None, postgres_dsn=dsn)).detail == text
    assert "\n" not in text
    assert _PASSWORD not in text
    return text


def _serve(admin: psycopg.Connection[Any], certificates: Certificates, which: str) -> None:
    files = {"ssl_cert_file": certificates.server(which), "ssl_key_file": certificates.key(which)}
    for name, value in {**files, "ssl": "on"}.items():
        admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    admin.execute("SELECT pg_reload_conf()")


def _open_to_a_user_with_password(admin: psycopg.Connection[Any]) -> None:
    ((hba,),) = admin.execute("SHOW hba_file").fetchall()
    file = Path(hba)
    file.write_text(f"hostssl all secure 127.0.0.1/32 scram-sha-256\n{file.read_text()}")
    admin.execute(f"CREATE ROLE secure LOGIN PASSWORD '{_PASSWORD}'")


def test_tls_and_password_let_in_and_each_fault_is_one_line(own_postgres: LocalServer) -> None:
    """verify-full with the test's authority; another password, authority, name, an expired certificate."""
    folder = Path(own_postgres.folder)
    certificates = make_certificates(folder)
    if os.geteuid() == 0:
        for file in folder.iterdir():
            shutil.chown(file, "postgres")
    port, authority = own_postgres.port, certificates.authority
    good = _dsn(port, authority)
    assert "not reached over TLS as POSTGRES_DSN says (" in _refused(good)
    with psycopg.connect(own_postgres.dsn, autocommit=True) as admin:
        _open_to_a_user_with_password(admin)
        _serve(admin, certificates, "good")
        wait_for(lambda: admin.execute("SHOW ssl").fetchone() == ("on",), "PostgreSQL to take TLS")
        wait_for(lambda: reachable(load(env_file=None, postgres_dsn=good)).status == "ok", "TLS to be on")
        with session(good) as connection:
            found = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert found == (True,)
        assert "Correct user, password" in _refused(_dsn(port, authority, password=_PASSWORD[::-1]))
        stranger = _refused(_dsn(port, certificates.stranger))
        assert "authority that is not known here. Name a file" in stranger
        assert "sslrootcert of POSTGRES_DSN" in stranger
        assert "of another name" in _refused(_dsn(port, authority, host="127.0.0.1"))
        assert "sslrootcert" in _refused(_dsn(port, Path("/nowhere")))
        _serve(admin, certificates, "expired")
        wait_for(lambda: "has expired" in _refused(good), "the other certificate")
