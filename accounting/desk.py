"""The accountant's desk: books, outbox, and the sender at work; one a process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.outbox import Outbox

if TYPE_CHECKING:
    from accounting.sender import MakeProducer


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts with which the accountant's page works."""

    books: Books
    outbox: Outbox


@dataclass(frozen=True, slots=True)
class Post:
    """Where the outbox sends: `topics` by kind of message; `options` have Kafka's own names."""

    servers: str
    options: Mapping[str, str]
    topics: Mapping[str, str]


def open_desk(path: Path, post: Post, make_producer: MakeProducer | None = None) -> Desk:
    """The desk with its books in `path`, and the sender running in the background.

    `make_producer` makes what stands in for Kafka's client, in a demo. Raises BooksError when the file cannot
    be used.
    """
    database = BooksDatabase(path)
    database.prepare()
    desk = Desk(Books(database), Outbox(database))
    _start_sender(path, post, desk.outbox, make_producer)
    return desk


def _start_sender(path: Path, post: Post, outbox: Outbox, make: MakeProducer | None) -> None:
    # Only whoever sends needs Kafka's client.
    from accounting.producer import make_producer
    from accounting.sender import OutboxSender

    sender = OutboxSender(
        outbox,
        path.with_name(f"{path.name}.sender.lock"),
        make or partial(make_producer, post.servers, post.options),
        post.topics,
        post.servers,
    )
    # Ends with the process, at any moment: what is not acknowledged is sent by the next one.
    threading.Thread(target=sender.run, args=(threading.Event(),), name="outbox", daemon=True).start()
