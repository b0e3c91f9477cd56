"""Checks for the e-commerce pipeline: PostgreSQL, its tables and rights, and the folder of the files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import psycopg

from commands.checks.result import CheckResult, after, bounded, failed, ok, warning
from contracts import ConfigurationError
from settings import Settings
from sinks.ecommerce.connection import session, wait_for_server
from sinks.ecommerce.needs import OLDEST_SERVER, column_fault, missing_grants, place_fault
from sinks.ecommerce.schema import EVENTS, known_version
from sinks.ecommerce.trial import write_fault
from sources.ecommerce.csv_files import passed_over

_COUNTED_FILES = 1_000


def reachable(settings: Settings) -> CheckResult:
    """Check that a server answers the user of POSTGRES_DSN, and tell its version."""
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        wait_for_server(dsn, 0, lambda _line: None)
    except ConfigurationError as error:
        return failed("PostgreSQL", str(error), "As the message says.")
    with session(dsn) as connection:
        information = connection.info
        version = information.server_version // 10_000
        unfit = place_fault(connection)
        detail = f"{information.host}:{information.port}/{information.dbname} answers, version {version}"
    if version < OLDEST_SERVER:
        return failed("PostgreSQL", detail, f"Use PostgreSQL {OLDEST_SERVER} or newer.")
    if unfit is not None:
        return failed("PostgreSQL", detail, unfit)
    return ok("PostgreSQL", detail)


def tables(settings: Settings) -> CheckResult:
    """Check that the tables are the pipeline's, or can still be made."""
    with session(settings.postgres_dsn.get_secret_value()) as connection:
        known_version(connection)
        fault = column_fault(connection)
        if fault is not None:
            return failed("Tables", fault, "Rename that table, or choose another database in POSTGRES_DSN.")
        if connection.execute("SELECT to_regclass(%s)", [EVENTS]).fetchone() == (None,):
            return ok("Tables", "not there yet: the first start makes them")
        unfit = None if missing_grants(connection) else write_fault(connection)
        if unfit is not None:
            return failed("Tables", "no batch can be written", unfit)
        return ok("Tables", f"{EVENTS} and its ledger have the columns that are needed")


def rights(settings: Settings) -> CheckResult:
    """Check that the user may do all that a batch does."""
    with session(settings.postgres_dsn.get_secret_value()) as connection:
        missing = missing_grants(connection, removes=settings.ecommerce_keep_days > 0)
    if missing:
        return failed("Rights", "the user of POSTGRES_DSN may not do all that is needed", "; ".join(missing))
    return ok("Rights", "the user may make tables, read and insert")


def input_folder(settings: Settings) -> CheckResult:
    """Check that the folder of the files can be read, or made; tell how many files are there."""
    folder = settings.ecommerce_input_path
    remedy = "Make it readable for this user, or correct ECOMMERCE_INPUT_PATH."
    if not folder.exists():
        elsewhere = "Correct ECOMMERCE_INPUT_PATH if the files come elsewhere."
        return warning("ECOMMERCE_INPUT_PATH", f"{folder} does not exist: the start makes it", elsewhere)
    try:
        others = sorted(islice(passed_over(folder, sys.getfilesystemencoding()), _COUNTED_FILES))
        found = len(list(islice(folder.glob("[!._]*.[cC][sS][vV]"), _COUNTED_FILES)))
    except OSError as error:
        return failed("ECOMMERCE_INPUT_PATH", f"{folder} cannot be read ({error.strerror})", remedy)
    name, reason = others[0] if others else ("", "")
    rest = f"; {len(others):,} names are passed over, such as {name!r} ({reason})" if others else ""
    at_least = "at least " if found == _COUNTED_FILES else ""
    return ok("ECOMMERCE_INPUT_PATH", f"{folder}: readable, {at_least}{found:,} files{rest}")


def run(settings: Settings) -> Iterator[CheckResult]:
    """Run all of these checks in order; skip those that need a server that does not answer."""
    looks = [(name, partial(_guarded, name, look)) for name, look in (("Tables", tables), ("Rights", rights))]
    yield from after(bounded("PostgreSQL", partial(reachable, settings)), looks, settings)
    yield bounded("ECOMMERCE_INPUT_PATH", partial(input_folder, settings))


def _guarded(name: str, look: Callable[[Settings], CheckResult], settings: Settings) -> CheckResult:
    try:
        return look(settings)
    except psycopg.Error as error:
        text = str(error).strip().partition("\n")[0]
        return failed(name, f"{type(error).__name__}: {text}", "See the server's log.")
