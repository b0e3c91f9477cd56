"""What the records of one batch are: new, there already, older than what is known, or refused.

The first content of an invoice that is accepted counts; other content under its id is a `conflict`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from analytics.kafka_json import looks_like
from analytics.stock.rules import EPOCH, judge, known_time, notes
from contracts import CORRUPT, BatchKey
from contracts.stock import Client, Product, Sale, Void
from sinks.stock.ledger import Settled
from sinks.stock.sales import SalesStore, StoredSale, digest
from sinks.stream_letters import RejectedRecord

CONFLICT = "conflict"
# What it said was taken out (STOCK_SALES_KEEP_DAYS), so it cannot be taken back.
VOIDS_RETIRED = "voids_retired_invoice"

Row = Mapping[str, Any]
_Record = TypeVar("_Record", Product, Client)


@dataclass
class Intake:
    """The accepted records of a batch and the refused ones; `sales_written` counts invoices of this batch.

    Of each product and client only the newest record is kept, the others are `superseded`; `accepted` counts
    all records that count.
    """

    new_sales: list[Sale | Void] = field(default_factory=list)
    sales_written: int = 0
    products: dict[str, Product] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    accepted: int = 0
    superseded: int = 0
    rejected: list[RejectedRecord] = field(default_factory=list)
    noted: Counter[str] = field(default_factory=Counter)


def take_in(
    rows: Iterable[Row], settled: Settled, key: BatchKey | None, sales: SalesStore, now: datetime
) -> Intake:
    """Judge the rows of `analytics.stock.rules.parse`, in the order in which Kafka got them.

    Raises StaleReadError when one of the invoices arrived late and is to be counted first.
    """
    taken = Intake()
    invoices: list[tuple[Sale | Void, Row]] = []
    for row in _in_order(rows, now):
        found = judge(row, now)
        if isinstance(found, str):
            taken.rejected.append(_rejected(row, found))
            continue
        taken.accepted += 1
        taken.noted.update(notes(found))
        if isinstance(found, Sale | Void):
            invoices.append((found, row))
        elif isinstance(found, Product):
            taken.superseded += _keep_newer(taken.products, found.product_id, found)
        else:
            taken.superseded += _keep_newer(taken.clients, found.client_id, found)
    stored = sales.find({sale.invoice_id for sale, _ in invoices}, settled.given_up)
    voided = {sale.voids for sale, _ in invoices if isinstance(sale, Void) and sale.invoice_id not in stored}
    retired = sales.retired_of(voided) if voided else set()
    _sort_invoices(taken, invoices, stored, retired, settled.first(key))
    # Letters hold the records of one source and reason.
    taken.rejected.sort(key=lambda record: (record.source, record.reason, record.position))
    return taken


def _sort_invoices(
    taken: Intake,
    invoices: list[tuple[Sale | Void, Row]],
    stored: Mapping[str, StoredSale],
    retired: Container[str],
    first: int,
) -> None:
    digests = {invoice_id: one.digest for invoice_id, one in stored.items()}
    # Invoices that an earlier try of this batch has stored are its own, each once.
    own = {invoice_id for invoice_id, one in stored.items() if one.batch >= first}
    for sale, row in invoices:
        content = digest(sale)
        if sale.invoice_id not in stored and isinstance(sale, Void) and sale.voids in retired:
            taken.accepted -= 1
            taken.rejected.append(_rejected(row, VOIDS_RETIRED))
        elif sale.invoice_id not in digests:
            digests[sale.invoice_id] = content
            taken.new_sales.append(sale)
            taken.sales_written += 1
        elif digests[sale.invoice_id] != content:
            taken.accepted -= 1
            taken.rejected.append(_rejected(row, CONFLICT))
        elif sale.invoice_id in own:
            own.remove(sale.invoice_id)
            taken.sales_written += 1


def _keep_newer(records: dict[str, _Record], key: str, found: _Record) -> bool:
    """Keep the newer one; whether there are two of different age, so that one of them is superseded."""
    known = records.setdefault(key, found)
    if known.order < found.order:
        records[key] = found
    return known.order != found.order


def _in_order(rows: Iterable[Row], now: datetime) -> list[Row]:
    """Each partition's as they lie there, and those of several by Kafka's time, where it is known."""
    newest: dict[tuple[str, int], datetime] = {}
    placed = []
    for row in sorted(rows, key=lambda row: (row["topic"], row["partition"], row["offset"])):
        partition = (row["topic"], row["partition"])
        newest[partition] = max(newest.get(partition, EPOCH), known_time(row, now) or EPOCH)
        placed.append((newest[partition], row["partition"], row["offset"], row))
    return [row for *_, row in sorted(placed, key=lambda one: one[:3])]


def _rejected(row: Row, reason: str) -> RejectedRecord:
    made = row.get("timestamp_ms")
    if made is None and row["timestamp"] is not None:
        made = round(row["timestamp"].timestamp() * 1000)
    source = f"{row['topic']}/{row['partition']}"
    hint = looks_like(row["value"]) if reason == CORRUPT else None
    return RejectedRecord(
        reason, source, row["offset"], row["value"], timestamp_ms=made, key=row["key"], hint=hint
    )
