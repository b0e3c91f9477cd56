"""Interleavings by hand: each command of a writer waits until the test lets it through."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from pymongo.collection import Collection

_COMMANDS = frozenset({"bulk_write", "find", "delete_many", "count_documents"})
_PATIENCE_SECONDS = 60.0


class Turns:
    """One writer's thread, which stands still before each command and each look at the clock."""

    def __init__(self, work: Callable[[Turns], None]) -> None:
        self.ended = self._free = False
        self.error: BaseException | None = None
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()
        self._wait()

    def step(self) -> bool:
        """Let one command through, and wait until the next stands before the door; False at the end."""
        if self.ended:
            return False
        self._go.release()
        self._wait()
        return True

    def stand(self) -> None:
        """For the writer's thread: wait for the turn."""
        if not self._free:
            self._stands.release()
            self._go.acquire()

    def free(self) -> None:
        """No more turns: a thread that stood still for ever would keep the process from ending."""
        self._free = True
        self._go.release()
        self._thread.join(_PATIENCE_SECONDS)

    def collection(self, real: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
        """`real`, each command of which takes a turn."""
        return cast("Collection[dict[str, Any]]", _Door(real, self))

    def call(self, function: Callable[[], Any]) -> Any:
        """`function`, in a turn of its own."""
        self.stand()
        return function()

    def _run(self, work: Callable[[Turns], None]) -> None:
        self.stand()
        try:
            work(self)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self.ended = True
        self._stands.release()

    def _wait(self) -> None:
        assert self._stands.acquire(timeout=_PATIENCE_SECONDS), (
            "the writer neither ends nor asks for anything"
        )


class _Door:
    def __init__(self, real: Any, turns: Turns) -> None:
        self._real, self._turns = real, turns

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name == "with_options":
            return lambda *arguments, **options: _Door(found(*arguments, **options), self._turns)
        if name not in _COMMANDS:
            return found
        return lambda *arguments, **options: self._turns.call(lambda: found(*arguments, **options))
