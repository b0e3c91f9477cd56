"""Checks for the stock pipeline beside Kafka: its MongoDB database, and the accountant's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from accounting.database import BooksDatabase, BooksError
from accounting.outbox import FAILED, WAITING, Outbox
from commands.checks.database import Database, clock_skew, may, on_server
from commands.checks.machine import folder
from commands.checks.result import CheckResult, bounded, failed, ok, skipped, warning
from settings import Settings
from sinks.mongo_errors import is_unauthorized
from sinks.stock.ledger import COLLECTION as LEDGER
from sinks.stock.ledger import StockLedger, require_known_stock
from sinks.stock.publish_ranking import POINTERS
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.schema import RISKS, WINNERS
from sinks.stock.totals import CLIENTS, INVENTORY, TOTALS

# The actions that MongoDB asks a user for, as docs/security.md grants them.
_TOTALS = ("find", "insert", "update", "createIndex")
_RANKING = ("insert", "remove", "createIndex")
_STATE = ("find", "insert", "update")
NEEDED = {
    **dict.fromkeys((SALES, INVENTORY, CLIENTS, TOTALS), _TOTALS),
    **dict.fromkeys((WINNERS, RISKS), _RANKING),
    **dict.fromkeys((POINTERS, LEDGER), _STATE),
}
# No id of any of them.
_NOBODY = {"_id": "pulse check"}


def run(settings: Settings) -> Iterator[CheckResult]:
    """Run all of these checks in order; skip those that need a server that does not answer."""
    yield from on_server(settings, (("Rights", rights), ("Clocks", clock_skew)), settings.stock_db_name)
    yield bounded("Accountant's file", partial(books, settings))
    if settings.accountant_password.get_secret_value():
        yield bounded("SQLITE_DB_PATH", partial(folder, "SQLITE_DB_PATH", settings.sqlite_db_path.parent))


def rights(database: Database) -> CheckResult:
    """Check the rights of a batch in each collection, on a document that is not there; write nothing.

    A right that cannot be tried without writing is looked up, on servers that tell what is granted.
    """
    name, settings = "Rights", database.settings
    where = settings.stock_db_name
    granted = database.granted()
    refused = [
        f"{action} in {collection}"
        for collection, actions in NEEDED.items()
        for action in actions
        if may(granted, action, where, collection) is False
        or _is_refused(database.client[where][collection], action)
    ]
    if refused:
        return failed(name, f"not allowed: {', '.join(refused)}", f"Grant the user `readWrite` on {where}.")
    require_known_stock(StockLedger(database.client[where]).find())
    return ok(name, f"reading and writing in {where} allowed")


def _is_refused(collection: Collection[dict[str, Any]], action: str) -> bool:
    tries: dict[str, Callable[[], object]] = {
        "find": lambda: collection.find_one(_NOBODY),
        "update": lambda: collection.update_one(_NOBODY, {"$set": {"x": 1}}),
        "remove": lambda: collection.delete_one(_NOBODY),
    }
    try:
        tries.get(action, lambda: None)()
    except OperationFailure as error:
        if not is_unauthorized(error):
            raise
        return True
    return False


def books(settings: Settings) -> CheckResult:
    """Check that the accountant's file is ours and not stuck; make and change nothing."""
    name = "Accountant's file"
    if not settings.accountant_password.get_secret_value():
        return skipped(name, "ACCOUNTANT_PASSWORD is not set: the page is off")
    database = BooksDatabase(settings.sqlite_db_path)
    try:
        if not database.is_prepared():
            return ok(name, f"{database.path} is not there yet: the page makes it")
        state = Outbox(database).state()
    except BooksError as error:
        return failed(name, str(error), "As the message says.")
    detail = f"{database.path}: {state.counts[WAITING]} wait for Kafka, {state.counts[FAILED]} were refused"
    if state.fault and state.counts[WAITING]:
        return warning(
            name, f"{detail}; since {state.fault_since}: {state.fault}", "Mend Kafka; they go by themselves."
        )
    if state.counts[FAILED]:
        return warning(name, detail, "Look at the outbox on the accountant's page.")
    return ok(name, detail)
