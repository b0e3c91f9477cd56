"""The accountant's outbox at work in a test's own process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial

from accounting.database import BooksDatabase
from accounting.outbox import WAITING, Outbox
from accounting.producer import make_producer
from accounting.sender import OutboxSender
from tests.support.waiting import running, wait_for


def sending(
    file: BooksDatabase, servers: str, topics: Mapping[str, str], **options: str
) -> AbstractContextManager[None]:
    """What waits in `file` is sent inside the block; `options` are of Kafka's client."""
    lock = file.path.with_suffix(".lock")
    sender = OutboxSender(Outbox(file), lock, partial(make_producer, servers, options), topics, servers)
    return running(sender.run, threading.Event())


def drain(file: BooksDatabase) -> None:
    """Wait until nothing waits to be sent."""
    wait_for(
        lambda: not Outbox(file).state().counts[WAITING],
        lambda: f"the outbox to drain: {Outbox(file).state().fault}",
    )
