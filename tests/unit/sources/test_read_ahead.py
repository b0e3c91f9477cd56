"""Several readers at once give what one would have given."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sources.read_ahead import in_order


def _readers_running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("reader")]


@pytest.mark.parametrize("readers", [1, 2, 4, 50])
def test_everything_comes_in_the_order_of_the_pieces(readers: int) -> None:
    """Also where the first piece is the last to be read."""
    last = threading.Event()

    def read(piece: int) -> Iterator[tuple[int, int]]:
        if readers > 1 and piece == 0:
            assert last.wait(30)
        if piece == readers - 1:
            last.set()
        yield from ((piece, number) for number in range(piece % 3))

    expected = [(piece, number) for piece in range(20) for number in range(piece % 3)]
    if readers > 20:
        last.set()
    assert list(in_order(read, range(20), readers)) == expected
    assert _readers_running() == []


def test_no_more_is_read_ahead_than_there_are_readers() -> None:
    """Memory is bounded by the readers, however slow the consumer is."""
    begun: list[int] = []

    def read(piece: int) -> list[int]:
        begun.append(piece)
        return [piece]

    for done, piece in enumerate(in_order(read, range(100), 4)):
        assert piece == done
        assert len(begun) <= done + 4
    assert sorted(begun) == list(range(100))


def test_an_error_comes_in_its_turn_and_ends_the_others() -> None:
    """What was read before it is given first; then it is raised, and nothing goes on behind it."""
    begun: list[int] = []
    failed = threading.Event()

    def read(piece: int) -> list[int]:
        begun.append(piece)
        if piece == 2:
            failed.set()
            raise ConnectionError("away")
        assert failed.wait(30)
        return [piece]

    given = in_order(read, range(100), 4)
    assert [next(given), next(given)] == [0, 1]
    with pytest.raises(ConnectionError, match="away"):
        next(given)
    assert max(begun) <= 5
    assert _readers_running() == []


def test_who_stops_listening_leaves_no_reader_behind() -> None:
    """As when a batch fails or the process ends in the middle of a page."""
    closed: list[int] = []

    def read(piece: int) -> Iterator[int]:
        try:
            yield from (piece, piece)
        finally:
            closed.append(piece)

    given = in_order(read, range(100), 4)
    assert next(given) == 0
    del given
    assert _readers_running() == []
    assert set(closed) <= set(range(5))
