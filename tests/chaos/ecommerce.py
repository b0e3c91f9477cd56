"""The e-commerce pipeline under crash loops: files of events, repetitions, contradictions and nonsense."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import psycopg

from contracts.ecommerce import EVENT_COLUMNS
from simulation.ecommerce.events import EventGenerator, event_id
from tests.chaos.servers import Surroundings
from tests.chaos.stream import StreamWorkload, Tag, newest_done
from tests.support.job import environment_of
from tests.support.shop import Shop, as_csv

Row = dict[str, str]


class EcommerceWorkload(StreamWorkload):
    """See `Workload`; a tag is a row of the table."""

    name = "ecommerce"
    settings = {  # noqa: RUF012
        "ECOMMERCE_INTERVAL_SECONDS": "0.5",
        "POSTGRES_WAIT_SECONDS": "5",
    }
    cuts = {"ECOMMERCE_MAX_FILES_PER_TRIGGER": "6"}  # noqa: RUF012
    arguments = ("--pipeline", "ecommerce")

    def __init__(self, around: Surroundings, seed: int) -> None:
        dsn, door = around.postgres()
        # The folder of whoever writes files is not on the job's disk.
        self.world = self._shop = Shop(around.folder, door, **around.folders)
        # Letters belong to the address of the door; what is looked at is behind it.
        self._shop.dsn = dsn
        super().__init__(around, {**environment_of(self.world.settings), **self.settings}, seed)
        self._generator = EventGenerator(seed)
        self._events: dict[str, Row] = {}
        self._files = 0

    @property
    def kinds(self) -> Mapping[str, tuple[int, Callable[[], None]]]:
        """What programs write into the folder."""
        return {
            "file": (6, lambda: self._put(self._new(self.rng.randint(1, 12)))),
            "large file": (1, lambda: self._put(self._new(3_000))),
            "file with repetitions": (3, lambda: self._put([*self._new(3), *self._known(4)])),
            "file with bad records": (3, self._put_bad),
        }

    def prepare(self) -> None:
        """Some files."""
        for _ in range(3):
            self._put(self._new(20))

    def _new(self, count: int) -> list[Row]:
        now, made = datetime.now(timezone.utc), list[Row]()
        while len(made) < count:
            # Spread over days, or ids would soon come again.
            row = self._generator.event(now - timedelta(seconds=self.rng.uniform(0, 10**6)))
            if row["event_id"] not in self._events:
                self._events[row["event_id"]] = row
                made.append(row)
        return made

    def _known(self, count: int) -> list[Row]:
        return self.rng.sample(sorted(self._events.values(), key=lambda row: row["event_id"]), count)

    def _put(self, rows: list[Row], bad: Mapping[str, str] | None = None) -> None:
        self._files += 1
        name = f"{self._files:06d}.csv"
        text = as_csv(rows) + "".join(f"{line}\n" for line in bad or {})
        self.refused.update(bad or {})
        self._shop.put(text, name)
        tags: list[Tag | None] = [_tag(row) for row in rows]
        # A file is done as a whole.
        self.note(name, frozenset(tags))

    def _put_bad(self) -> None:
        (known,) = self._known(1)
        number = len(self.refused)
        other = {**known, "product_name": f"another {number}"}
        (click,) = self._unknown(number)
        bad = {
            _line(other): "conflict",
            _line({**click, "event_type": "click"}): "invalid_event_type",
            f"cut off {number},": "corrupt",
        }
        chosen = dict(self.rng.sample(sorted(bad.items()), self.rng.randint(1, 3)))
        self._put(self._new(2), chosen)

    def _unknown(self, number: int) -> Iterator[Row]:
        row = self._generator.event(datetime.now(timezone.utc))
        user = f"nobody {number}"
        yield {**row, "user_id": user, "event_id": event_id(user, row["product_id"], row["event_timestamp"])}

    def claims(self) -> dict[Hashable, int]:
        """Files of batches that are done."""
        query = self.data / "spark-checkpoints" / "ecommerce" / "events"
        position = newest_done(query)
        if position is None:
            return {}
        newest, found = int(json.loads(position)["logOffset"]), dict[Hashable, int]()
        with suppress(FileNotFoundError):
            for file in (query / "sources" / "0").iterdir():
                # Spark merges the logs of several batches into one with an ending.
                if file.name[0] != ".":
                    for line in file.read_text().splitlines()[1:]:
                        entry = json.loads(line)
                        if int(entry["batchId"]) <= newest:
                            found[unquote(urlsplit(entry["path"]).path).rpartition("/")[2]] = 1
        return found

    def stored(self) -> Counter[Tag]:
        """The rows of the table by file: a file's rows are there when all of them are."""
        rows, files = set(self._rows()), [tag for tags in list(self.sent.values()) for tag in tags]
        return Counter(file for file in files if isinstance(file, frozenset) and file <= rows)

    def _rows(self) -> Iterator[Tag]:
        with suppress(psycopg.errors.UndefinedTable):
            for row in self._shop.query(f"SELECT {', '.join(EVENT_COLUMNS)} FROM user_events"):
                yield (str(row[0]), *row[1:])

    def check_result(self) -> None:
        """Each event once, as it was written first, and nothing else; nothing is left of what was staged."""
        super().check_result()
        found, expected = Counter(self._rows()), Counter(_tag(row) for row in self._events.values())
        assert found == expected, f"lost {list(expected - found)[:5]}, odd {list(found - expected)[:5]}"


def _tag(row: Row) -> Tag:
    price = Decimal(row["price"]) if row["price"] else None
    moment = datetime.fromisoformat(row["event_timestamp"].replace("Z", "+00:00"))
    return (*(row[name] for name in EVENT_COLUMNS[:6]), price, moment)


def _line(row: Row) -> str:
    return as_csv([row]).splitlines()[1]
