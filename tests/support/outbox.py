"""The accountant's outbox at work in a test's own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from accounting.database import BooksDatabase
from accounting.outbox import WAITING, Outbox
from accounting.producer import make_producer
from accounting.sender import OutboxSender

_PATIENCE_SECONDS = 120


@contextmanager
def sending(file: BooksDatabase, servers: str, topics: Mapping[str, str], **options: str) -> Iterator[None]:
    """What waits in `file` is sent inside the block; `options` are of Kafka's client."""
    stop = threading.Event()
    lock = file.path.with_suffix(".lock")
    sender = OutboxSender(Outbox(file), lock, partial(make_producer, servers, options), topics, servers)
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def drain(file: BooksDatabase) -> None:
    """Wait until nothing waits to be sent."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while Outbox(file).state().counts[WAITING]:
        assert time.monotonic() < end, f"the outbox did not drain: {Outbox(file).state().fault}"
        time.sleep(0.1)
