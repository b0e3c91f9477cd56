"""The ping behind `/health/ready`: a sign of life, or an error within its time, whatever the network does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pymongo.errors import PyMongoError

from sources.mongo_client import connect, ping
from tests.support.toxiproxy import Proxy, through

TROUBLES: list[Callable[[Proxy], None]] = [Proxy.cut, Proxy.black_hole, Proxy.reset_peer]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_a_ping_never_hangs(mongo_proxy: Proxy, mongo_uri: str, trouble: Callable[[Proxy], None]) -> None:
    """Refused, swallowed or reset: it raises after about a second, and works again afterwards."""
    client = connect(through(mongo_proxy, mongo_uri), 30_000)
    ping(client["x"])
    trouble(mongo_proxy)
    started = time.monotonic()
    with pytest.raises(PyMongoError):
        ping(client["x"], seconds=1.0)
    # The half of the driver's own limit: enough for a slow machine, too little for a ping without limit.
    assert time.monotonic() - started < 15
    mongo_proxy.heal()
    ping(client["x"], seconds=30.0)
    client.close()


def test_the_embedded_store_answers() -> None:
    """MONGO_URI=mongomock:// has endpoints too."""
    ping(connect("mongomock://ping")["x"])
