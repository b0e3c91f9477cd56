"""Errors of PostgreSQL that no waiting mends: what it refuses, and what of its certificate is not trusted."""

from __future__ import annotations

import psycopg

from certificates import remedy, said_of, why_untrusted

# Wrong password, unknown role, unknown database, no right to connect.
_STATES = frozenset({"28P01", "28000", "3D000", "42501"})
_TEXTS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "permission denied for database",
    "is not currently accepting connections",
)
# In the words of libpq, on this side of the connection.
_OF_TLS = (
    "root certificate file",
    "could not read root certificate",
    "certificate file",
    "private key file",
    "server does not support SSL",
)
# What a server wants to hear before it speaks TLS (SSLRequest).
_GREETING = bytes((0, 0, 0, 8, 4, 210, 22, 47))


def is_refused(error: psycopg.OperationalError) -> bool:
    """Whether a connection was refused, on either side."""
    # While connecting psycopg knows no SQLSTATE, only texts.
    text = str(error)
    known = any(words in text for words in (*_TEXTS, *_OF_TLS))
    return error.sqlstate in _STATES or known or why_untrusted(text) is not None


def refusal(dsn: str, address: str, error: psycopg.OperationalError) -> str:
    """A sentence for what `is_refused`, with the remedy; of `dsn` it tells nothing but `address`."""
    text = str(error)
    if why := why_untrusted(text):
        # libpq says why only where the name is wrong.
        why = why_untrusted(_seen(dsn)) or why
        to_do = remedy(why, "POSTGRES_DSN", "sslrootcert of POSTGRES_DSN")
        return f"The certificate of PostgreSQL at {address} (POSTGRES_DSN) {why}. {to_do}"
    line = first_line(error)
    if any(words in text for words in _OF_TLS):
        return (
            f"PostgreSQL at {address} is not reached over TLS as POSTGRES_DSN says ({line}). "
            "Correct sslmode, sslrootcert, sslcert or sslkey there."
        )
    return (
        f"PostgreSQL at {address} refuses the connection ({line}). "
        "Correct user, password and database in POSTGRES_DSN, or create them."
    )


def first_line(error: BaseException) -> str:
    """What an error tells first."""
    return str(error).strip().partition("\n")[0][:200]


def _seen(dsn: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    host, port = (str(parts.get(name, "")).partition(",")[0] for name in ("host", "port"))
    return said_of(host, int(port or 5432), str(parts.get("sslrootcert", "")) or None, _GREETING)
