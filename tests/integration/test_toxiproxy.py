"""The network faults that other tests rely on do to a client of MongoDB what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, NetworkTimeout

from tests.support.toxiproxy import Proxy, through

_TIMEOUT_MS = 1_000
_OPTIONS = {
    "serverSelectionTimeoutMS": _TIMEOUT_MS,
    "connectTimeoutMS": _TIMEOUT_MS,
    "socketTimeoutMS": _TIMEOUT_MS,
    "retryReads": False,
}


@pytest.fixture
def client(mongo_uri: str, mongo_proxy: Proxy) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client that is connected through the proxy and gives up after a second."""
    options: dict[str, Any] = dict(_OPTIONS)
    with MongoClient[dict[str, Any]](through(mongo_proxy, mongo_uri), **options) as connected:
        connected.admin.command("ping")
        yield connected


def test_latency_delays_each_answer(client: MongoClient[dict[str, Any]], mongo_proxy: Proxy) -> None:
    """The answer comes, later."""
    mongo_proxy.latency(300)
    began = time.monotonic()
    client.admin.command("ping")
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.reset_peer], ids=["cut", "reset_peer"])
def test_a_broken_connection_is_an_error_at_once(
    client: MongoClient[dict[str, Any]], mongo_proxy: Proxy, fault: Callable[[Proxy], None]
) -> None:
    """The socket tells it; after healing the same client works again."""
    fault(mongo_proxy)
    with pytest.raises(AutoReconnect):
        client.admin.command("ping")
    mongo_proxy.heal()
    client.admin.command("ping")


def test_a_black_hole_shows_only_by_the_time_out(
    client: MongoClient[dict[str, Any]], mongo_proxy: Proxy
) -> None:
    """Nothing tells the client that the server is gone; after healing the same client works again."""
    mongo_proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(NetworkTimeout):
        client.admin.command("ping")
    assert time.monotonic() - began >= _TIMEOUT_MS / 1000 * 0.9
    mongo_proxy.heal()
    client.admin.command("ping")
