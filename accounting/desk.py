"""The accountant's desk: books, outbox, the sender at work, and the door; one a process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial

from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.events import CLIENTS, INVENTORY, SALES
from accounting.outbox import Outbox
from accounting.password import Door
from settings import Settings


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts with which the accountant's page works."""

    books: Books
    outbox: Outbox
    door: Door


def open_desk(settings: Settings) -> Desk | None:
    """The desk, with the sender running in the background; None without ACCOUNTANT_PASSWORD.

    Raises BooksError when the file cannot be used.
    """
    if not settings.accountant_password.get_secret_value():
        return None
    database = BooksDatabase(settings.sqlite_db_path)
    database.prepare()
    desk = Desk(Books(database), Outbox(database), Door(settings.accountant_password.get_secret_value()))
    _start_sender(settings, desk.outbox)
    return desk


def _start_sender(settings: Settings, outbox: Outbox) -> None:
    # Only the sender needs Kafka's client.
    from accounting.producer import make_producer
    from accounting.sender import OutboxSender

    topics = {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }
    servers = settings.kafka_bootstrap_servers
    path = settings.sqlite_db_path
    sender = OutboxSender(
        outbox,
        path.with_name(f"{path.name}.sender.lock"),
        partial(make_producer, servers, settings.kafka_options),
        topics,
        servers,
    )
    # Ends with the process, at any moment: what is not acknowledged is sent by the next one.
    threading.Thread(target=sender.run, args=(threading.Event(),), name="outbox", daemon=True).start()
