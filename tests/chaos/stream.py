"""A pipeline that reads a stream, under crash loops: what was sent, what is done, what must be there."""

from __future__ import annotations

import json
import random
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sinks.stream_letters import records_of
from tests.chaos.servers import Surroundings
from tests.chaos.workload import Workload
from tests.support.world import World

_TURN_SECONDS = 1.0
# What identifies a record where it was sent to, and in the sink.
Tag = Hashable


class StreamWorkload(Workload):
    """One that knows all that was sent, by `place`: a topic's partition, or a file.

    The sink's server was told nothing twice: what a place holds is what this process sent, in its order.
    """

    # `world` sees sink and letters past all doors.
    world: World

    def __init__(self, around: Surroundings, addresses: Mapping[str, str], seed: int) -> None:
        super().__init__(around, addresses)
        self.rng = random.Random(f"writer {seed}")
        # What must be in the sink by place, in the order of the place; None for a record that is none of it.
        self.sent: dict[Hashable, list[Tag | None]] = {}
        # The refused records by their raw text, with the reason.
        self.refused: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._turn, self._stop = threading.Lock(), threading.Event()
        self._error: BaseException | None = None
        self._mark: dict[Hashable, int] = {}
        self._claimed: dict[Hashable, int] = {}

    # --- what a pipeline says ---------------------------------------------------------------------

    @property
    @abstractmethod
    def kinds(self) -> Mapping[str, tuple[int, Callable[[], None]]]:
        """The kinds of writes with their weights; each returns when the source has the records."""

    @abstractmethod
    def claims(self) -> dict[Hashable, int]:
        """How many records of each place are done, as Spark's checkpoint says."""

    @abstractmethod
    def stored(self) -> Counter[Tag]:
        """What is in the sink."""

    def check_result(self) -> None:
        """Nothing is lost, nothing is there twice, and each value is what was sent."""
        if self._error is not None:
            raise self._error
        found, expected = (
            self.stored(),
            {tag for tags in self.sent.values() for tag in tags if tag is not None},
        )
        twice = {tag: count for tag, count in found.items() if count > 1}
        assert not twice, f"there more than once: {_some(twice)}"
        lost, odd = expected - set(found), set(found) - expected
        assert not lost, f"lost: {_some(lost)}"
        assert not odd, f"never sent: {_some(odd)}"

    # --- the writers ------------------------------------------------------------------------------

    @property
    def counts(self) -> Counter[str]:
        """Live writes by kind."""
        return self._counts

    def write(self, pause_seconds: tuple[float, float] = (0.05, 0.35)) -> threading.Thread:
        """Start the live writer."""
        names = list(self.kinds)
        weights = [weight for weight, _ in self.kinds.values()]

        def work() -> None:
            try:
                while not self._stop.wait(self.rng.uniform(*pause_seconds)):
                    (name,) = self.rng.choices(names, weights)
                    with self._turn:
                        self.kinds[name][1]()
                    self._counts[name] += 1
            except BaseException as error:  # noqa: BLE001 - raised by the next check
                self._error = error

        self._stop.clear()
        thread = threading.Thread(target=work, name="writer")
        thread.start()
        return thread

    def stop_writing(self) -> None:
        """Let the running write be the last."""
        self._stop.set()

    def note(self, place: Hashable, tag: Tag | None) -> None:
        """Remember a record that the source has now."""
        self.sent.setdefault(place, []).append(tag)

    def close(self) -> None:
        """Give up."""
        self._stop.set()

    # --- what the job claims ----------------------------------------------------------------------

    def started(self) -> bool:
        """A batch is done."""
        return any(self.claims().values())

    def mark(self) -> None:
        """All that was sent."""
        self._mark = {place: len(tags) for place, tags in self.sent.items()}

    def caught_up(self) -> bool:
        """Spark has noted all of it as done."""
        claims = self.claims()
        return all(claims.get(place, 0) >= count for place, count in self._mark.items())

    def watch(self) -> bool:
        """What Spark has noted as done is in the sink."""
        claims = self.claims()
        if claims == self._claimed or not claims:
            return False
        self._check_claims(claims)
        self._claimed = claims
        return True

    def check_crash_state(self) -> bool:
        """The same of a dead job; and nothing is there twice."""
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            return False
        try:
            found = self._check_claims(self.claims())
        finally:
            self._turn.release()
        assert all(count == 1 for count in found.values()), f"there more than once: {_some(found)}"
        return True

    def _check_claims(self, claims: Mapping[Hashable, int]) -> Counter[Tag]:
        claimed = {tag for place, count in claims.items() for tag in self.sent.get(place, [])[:count]}
        found = self.stored()
        lost = claimed - set(found) - {None}
        assert not lost, f"noted as done, and not in the sink: {_some(lost)}"
        return found

    # --- dead letters -----------------------------------------------------------------------------

    def check_dead_letters(self) -> None:
        """They are those of what is bad, each once unless the checkpoint was lost."""
        found, expected = Counter(self.letters()), set(self.refused.items())
        twice = {raw for (raw, _), count in found.items() if count > 1}
        assert self.checkpoint_was_lost or not twice, f"more than one letter: {_some(twice)}"
        assert set(found) == expected, (
            f"missing letters: {_some(expected - set(found))}; "
            f"letters of what is not bad: {_some(set(found) - expected)}"
        )

    def letters(self) -> Iterator[tuple[str, str]]:
        """Raw text and reason of each refused record."""
        for letter in self.world.letters():
            for record in records_of(letter.record, letter.reason):
                yield (record.raw or b"").decode().rstrip("\r\n"), record.reason

    def check_end(self) -> None:
        """Once more what was judged after each loop."""
        self.check_result()
        self.check_dead_letters()


def newest_done(query: Path) -> str | None:
    """The source's position after the newest batch that Spark has noted as done; None before the first."""
    # Spark replaces and removes files meanwhile.
    with suppress(FileNotFoundError, IndexError, ValueError):
        newest = max(int(file.name) for file in (query / "commits").iterdir() if file.name.isdecimal())
        return (query / "offsets" / str(newest)).read_text().splitlines()[2]
    return None


def kafka_claims(queries: Sequence[Path]) -> dict[Hashable, int]:
    """By topic and partition, how many records Spark has noted as done."""
    return {
        (topic, int(partition)): offset
        for query in queries
        for topic, ends in json.loads(newest_done(query) or "{}").items()
        for partition, offset in ends.items()
    }


def _some(found: object) -> str:
    shown = sorted(map(str, found)) if isinstance(found, set | dict) else [str(found)]
    return f"{len(shown)}: {', '.join(shown[:8])}"
