"""A system whose look-up of names hangs, as with a server of names in /etc/resolv.conf that is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

HANGING = "hangs.invalid"
KNOWN = "known.invalid"


@contextmanager
def hanging_names(known_as: str = "127.0.0.1") -> Iterator[None]:
    """Inside the block HANGING is never found, and KNOWN is at `known_as`."""
    over, ask = threading.Event(), socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        if host == HANGING:
            over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "the server of names is away")
        return ask(known_as if host == KNOWN else host, *arguments, **named)

    with patch.object(socket, "getaddrinfo", look_up):
        try:
            yield
        finally:
            over.set()
