"""Several reads of a database at the same time, their results in the order of one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Found = TypeVar("Found")


def in_order(
    read: Callable[[Piece], Iterable[Found]], pieces: Iterable[Piece], readers: int
) -> Iterator[Found]:
    """Yield what `read` finds for each of `pieces` in their order, as if there were one reader.

    `readers` pieces are read at once, each whole and kept in memory, also while the caller works on earlier
    ones. An error of a piece is raised in its turn. However it ends, no read goes on afterwards: those that
    have begun are waited for, so each should be short.
    """
    if readers == 1:
        for piece in pieces:
            yield from read(piece)
        return
    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        begun: deque[Future[list[Found]]] = deque()
        try:
            for piece in pieces:
                begun.append(pool.submit(_whole, read, piece))
                if len(begun) == readers:
                    yield from begun.popleft().result()
            while begun:
                yield from begun.popleft().result()
        finally:
            for waiting in begun:
                waiting.cancel()


def _whole(read: Callable[[Piece], Iterable[Found]], piece: Piece) -> list[Found]:
    return list(read(piece))
