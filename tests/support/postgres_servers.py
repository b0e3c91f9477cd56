"""Databases and users for single tests on the shared PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

_ROLE_PASSWORD = "of-a-test"  # noqa: S105


@contextmanager
def fresh_database(dsn: str, options: str = "") -> Iterator[str]:
    """The address of an empty database with a random name on the server of `dsn`, gone after the block.

    `options` are those of CREATE DATABASE.
    """
    name = f"test_{secrets.token_hex(8)}"
    _execute(dsn, f"CREATE DATABASE {name} {options}")
    try:
        yield _with_database(dsn, name)
    finally:
        _execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(dsn: str, statement: str) -> None:
    # A connection of its own: what a test does to the server must not end it.
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def _with_database(dsn: str, name: str) -> str:
    base, question, options = dsn.partition("?")
    return f"{base.rpartition('/')[0]}/{name}{question}{options}"


@contextmanager
def fresh_role(dsn: str, *grants: str) -> Iterator[str]:
    """`dsn` with a user of a random name who has only these rights, such as `SELECT ON user_events`.

    The user is gone after the block. Everybody's right to make tables in `public` is taken away.
    """
    role = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_ROLE_PASSWORD}'")
        try:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            for grant in grants:
                connection.execute(f"GRANT {grant} TO {role}")
            place = dsn.partition("//")[2].rpartition("@")[2]
            yield f"postgresql://{role}:{_ROLE_PASSWORD}@{place}"
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
