"""A connection that waits for long statements of PostgreSQL, and not for a server that is gone.

TCP finds out that a peer has vanished, but not that it hangs behind a kernel or a proxy that still answers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

QUIET_SECONDS = 30.0
# For what takes no time: a greeting, SELECT 1.
ANSWER_SECONDS = 10.0
# What a server says, whatever its language, and no other error has: its severity, and two spaces.
OF_THE_SERVER = re.compile(r"[^\s:]+:  \S.*")


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """Asks the server on a connection to `conninfo` when an answer is not complete after `quiet_seconds`.

    It asks again each time that these have passed, also when bytes trickle in. If no answer comes there
    either, or `conninfo` is empty, the statement ends with an OperationalError, and the connection is closed.
    """

    conninfo = ""
    quiet_seconds = QUIET_SECONDS

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Wait as psycopg does, but not in vain."""
        return super().wait(self._while_it_answers(gen), *args, **kwargs)

    def _while_it_answers(self, gen: PQGen[RV]) -> Generator[Any, Any, RV]:
        asked = time.monotonic()
        try:
            state = next(gen)
            while True:
                # What came is taken first: it may be all, and this process have stood still.
                state = gen.send((yield state))
                if time.monotonic() - asked >= self.quiet_seconds:
                    if not self._answers():
                        self.close()
                        raise psycopg.OperationalError("the server does not answer any more")
                    asked = time.monotonic()
        except StopIteration as end:
            result: RV = end.value
            return result

    def _answers(self) -> bool:
        if not self.conninfo:
            return False
        try:
            # Of several hosts the one that is waited for.
            place: dict[str, Any] = {
                "host": self.info.host,
                "hostaddr": self.info.hostaddr or None,
                "port": self.info.port,
            }
            with BoundedConnection.connect(self.conninfo, autocommit=True, **place) as other:
                other.quiet_seconds = ANSWER_SECONDS
                other.execute("SELECT 1")
        except psycopg.OperationalError as error:
            # It may refuse one more: that is an answer.
            return OF_THE_SERVER.search(str(error)) is not None
        return True
