"""Forgets a client of the stock pipeline: the books keep their amounts, under a name that nobody has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from accounting.database import BooksDatabase
from accounting.forgetting import count_client, rename_client, told_of
from analytics.stock.nameless import Client, without
from analytics.stock.values import RefusedError, identifier
from commands.forgetting.letters import clean_letters
from commands.forgetting.logs import mask, spellings
from contracts import ConfigurationError, ServiceError
from pipelines.engine.forgetting import Found, pseudonym
from pipelines.stock.job import open_upkeep
from pipelines.stock.pipeline import STOCK
from settings import Settings
from sinks.parquet.generations import Generations
from sinks.parquet.rewriting import rewrite_rows
from sinks.stock.archive import DATASET
from sinks.stock.forgetting import ClientForgetting
from sources.mongo_client import connect

_VALUE, _KEY = "value", "key"


def open_forgetting(settings: Settings, user: str) -> StockForgetting:
    """Find the client with the id `user`. Raises ConfigurationError when that is no id."""
    try:
        client_id = identifier(user, "client_id")
    except RefusedError:
        raise ConfigurationError(f"{user!r} is no client's id.") from None
    client = connect(settings.mongo_uri.get_secret_value(), round(settings.mongo_timeout_seconds * 1000))
    return StockForgetting(settings, ClientForgetting(client[settings.stock_db_name], client_id))


class StockForgetting:
    """One client, and where it is looked for. pymongo's errors pass through."""

    reminders: Sequence[str] = (
        "Kafka keeps the client's records as long as its topics say; no command of ours takes one out.",
        "The accountant's file, cold store, letters and logs were this machine's: do it where others lie.",
        "Backups, downloads and what a collector keeps of the console are not ours.",
    )

    def __init__(self, settings: Settings, stored: ClientForgetting) -> None:
        self._settings = settings
        self._stored = stored
        self._books = BooksDatabase(settings.sqlite_db_path)
        self._has_books = self._books.is_prepared()
        self._begun = stored.begun()
        texts = {*stored.texts(), *self._begun.get("texts", ())}
        texts |= told_of(self._books, stored.client_id) if self._has_books else set()
        name = str(self._begun.get("pseudonym") or pseudonym())
        self._client = Client(stored.client_id, name, sorted(texts))
        self.mark: Mapping[str, str] = {"pseudonym": name}

    def source(self) -> None:
        """Kafka's topics cannot be asked for one client."""

    def look(self) -> Iterator[Found]:
        """Count rows, records, messages and logs."""
        for name, count in self._stored.counts().items():
            yield self._in_database(name, count)
        yield from self._in_files(dry_run=True)

    def act(self) -> Iterator[Found]:
        """Rename the client everywhere. Raises AlreadyRunningError while the stock pipeline runs."""
        if not self._begun and not any(each.count for each in self.look()):
            yield from self.look()
            return
        with open_upkeep(self._settings) as upkeep, upkeep.work.turn():
            writer = upkeep.work.writer
            settled = writer.settle()
            self._stored.begin(writer.ledger, self._client.pseudonym, {*self._client.texts})
            yield from self._in_files(dry_run=False)
            changed = self._stored.rename(writer.ledger, settled, self._client.pseudonym)
            mended = writer.recount(lambda _step: None)
            self._stored.end(writer.ledger)
        for name, count in changed.items():
            yield self._in_database(name, count)
        note = "The invoices were counted anew, and their totals had been wrong before."
        yield Found("totals set right", self._stored.database.name, len(mended), "anonymised", note)

    def _in_database(self, name: str, count: int) -> Found:
        return Found(f"documents in {name}", f"{self._stored.database.name}.{name}", count, "anonymised")

    def _in_files(self, dry_run: bool) -> Iterator[Found]:
        yield from clean_letters(STOCK, self._settings, self._nameless, self._tells, dry_run)
        yield Found(
            "rows of the cold store", str(self._settings.stock_cold_path), self._cold(dry_run), "anonymised"
        )
        if self._has_books:
            work = count_client if dry_run else rename_client
            count = work(self._books, self._client)
            yield Found("rows of the accountant's file", str(self._books.path), count, "anonymised")
        folder = self._settings.log_directory
        logs = mask(folder, STOCK.name, self._client.texts, dry_run)
        yield Found("log files that name the client", str(folder), logs, "anonymised")

    def _cold(self, dry_run: bool) -> int:
        dataset = Generations(self._settings.stock_cold_path.absolute(), DATASET)
        try:
            return rewrite_rows(dataset, partial(_rows_without, self._client), dry_run)
        except (OSError, pa.ArrowException) as error:
            raise ServiceError(
                f"{dataset.path} is as it was: {error}. Look at the file that is named, or make room on the "
                "disk; then start again."
            ) from error

    def _nameless(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """A record of a letter without the client."""
        found = without(self._client, _bytes(item.get("raw")), _bytes(item.get("key")))
        if found is None:
            return item
        if found.value is None:
            return None
        named = {"raw": _text(found.value), **({} if found.key is None else {"key": _text(found.key)})}
        return {**item, **named}

    def _tells(self, content: bytes) -> bool:
        text = content.decode("utf-8", "replace")
        # A letter is JSON, and so is the record in it.
        forms = {
            form for told in self._client.telling for once in spellings(told) for form in spellings(once)
        }
        return any(form in text for form in forms)


def _rows_without(client: Client, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    values, keys, count = rows.column(_VALUE).to_pylist(), rows.column(_KEY).to_pylist(), 0
    for place, (value, key) in enumerate(zip(values, keys, strict=True)):
        if (found := without(client, value, key)) is not None:
            values[place], keys[place] = found.value, found.key
            count += 1
    if count:
        for name, column in ((_VALUE, values), (_KEY, keys)):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(name), pa.array(column, pa.binary()))
    return rows, count


def _bytes(shown: Any) -> bytes | None:
    return shown.encode("utf-8", "surrogatepass") if isinstance(shown, str) else shown


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
