"""Invented e-commerce events as CSV files: `python -m simulation.ecommerce.events --help`.

An event's id is made of its user, product and time: the same event always has the same id, so that one that
is written again is known as a duplicate.
"""

from __future__ import annotations

import csv
import hashlib
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import typer

from contracts import StoppedError
from contracts.ecommerce import EVENT_COLUMNS
from contracts.iso_times import time_with_z
from simulation.program import run_program, stepping_clock, stop_on_signals

USERS = 1_000
PURCHASE_PROBABILITY = 0.3
_MIN_PRICE, _MAX_PRICE = 9.99, 299.99
_MAX_AGE_SECONDS = 60.0
_CATALOGUE = {
    "Electronics": ("Wireless Headphones", "Smart Watch", "Tablet Stand", "USB-C Hub", "Portable Speaker"),
    "Clothing": ("Cotton T-Shirt", "Denim Jeans", "Rain Jacket", "Wool Socks", "Running Shorts"),
    "Home & Garden": ("Table Lamp", "Plant Pot", "Garden Hose, 20 m", "Door Mat", "Wall Clock"),
    "Books": ("Cook Book", "City Guide", "Crime Novel", "Picture Book", "Atlas of Birds"),
    "Sports": ("Yoga Mat", "Tennis Balls", "Dumbbell, 5 kg", "Bicycle Bell", "Swim Goggles"),
    "Toys": ("Wooden Train", "Puzzle, 500 pieces", "Kite", "Building Blocks", "Teddy Bear"),
    "Beauty": ("Hand Cream", "Shampoo", "Lip Balm", "Hair Brush", "Sun Lotion"),
    "Food": ("Green Tea", "Coffee Beans", "Dark Chocolate", "Olive Oil", "Spice Box"),
}
_EDITIONS = ("Classic", "Plus")


@dataclass(frozen=True, slots=True)
class Product:
    """One thing that can be looked at or bought; `base_price` in the shop's currency."""

    id: str
    name: str
    category: str
    base_price: float


def event_id(user_id: str, product_id: str, timestamp: str) -> str:
    """The UUID of the MD5 of `user_product_timestamp`, as text."""
    # A fingerprint, not a secret.
    digest = hashlib.md5(f"{user_id}_{product_id}_{timestamp}".encode(), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest))


class EventGenerator:
    """The same seed gives the same catalogue and, at the same times, the same events."""

    def __init__(self, seed: int | None = None, purchase_probability: float = PURCHASE_PROBABILITY) -> None:
        self._random = random.Random(seed)
        self._purchase_probability = purchase_probability
        self.products = list(_products(self._random))
        self.users = [f"USER_{number:06d}" for number in range(1, USERS + 1)]

    def event(self, now: datetime) -> dict[str, str]:
        """One event of the 60 seconds before `now`, by column; only purchases have a price."""
        user, product = self._random.choice(self.users), self._random.choice(self.products)
        moment = now - timedelta(seconds=self._random.uniform(0, _MAX_AGE_SECONDS))
        timestamp = time_with_z(moment)
        bought = self._random.random() < self._purchase_probability
        price = product.base_price * self._random.uniform(0.9, 1.1)
        values = (
            event_id(user, product.id, timestamp),
            user,
            product.id,
            product.name,
            product.category,
            "purchase" if bought else "view",
            f"{price:.2f}" if bought else "",
            timestamp,
        )
        return dict(zip(EVENT_COLUMNS, values, strict=True))

    def events(self, count: int, now: datetime) -> Iterator[dict[str, str]]:
        """`count` events around `now`."""
        return (self.event(now) for _ in range(count))


def _products(rng: random.Random) -> Iterator[Product]:
    number = 0
    for edition in _EDITIONS:
        for category, names in _CATALOGUE.items():
            for name in names:
                number += 1
                price = round(rng.uniform(_MIN_PRICE, _MAX_PRICE), 2)
                yield Product(f"PROD_{number:06d}", f"{name} {edition}", category, price)


def write_file(folder: Path, number: int, events: Iterator[dict[str, str]], now: datetime) -> Path:
    """Write `events_YYYYMMDD_HHMMSS_NNNNNN.csv`; readers see the whole file or none.

    It is written under a name that begins with `.tmp_` and renamed. A name that is taken is passed by.
    """
    stem = f"events_{now.astimezone(timezone.utc):%Y%m%d_%H%M%S}"
    path = folder / f"{stem}_{number:06d}.csv"
    while path.exists():
        number += 1
        path = folder / f"{stem}_{number:06d}.csv"
    temporary = path.with_name(f".tmp_{path.name}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, EVENT_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(events)
    return temporary.rename(path)


def generate(
    generator: EventGenerator,
    folder: Path,
    batch_size: int,
    wait: Callable[[], bool],
    batches: int | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> int:
    """Write files of `batch_size` events until `wait`, called between two, says to stop; events written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = number = 0
    while True:
        now = clock()
        number += 1
        write_file(folder, number, generator.events(batch_size, now), now)
        written += batch_size
        if number == batches or wait():
            return written


def main(
    output: Annotated[Path, typer.Option(help="The folder that the pipeline watches.")] = Path(
        "data/incoming"
    ),
    batch_size: Annotated[int, typer.Option(min=1, help="Events in a file.")] = 100,
    interval: Annotated[float, typer.Option(min=0, help="Seconds between two files.")] = 5.0,
    batches: Annotated[int | None, typer.Option(min=1, help="How many files to write.")] = None,
    purchases: Annotated[float, typer.Option(min=0, max=1, help="Share of events.")] = PURCHASE_PROBABILITY,
    seed: Annotated[int | None, typer.Option(help="For the same catalogue and draws again.")] = None,
    start: Annotated[
        datetime | None, typer.Option(help="Pretend it is that time (UTC): with a seed, the same files.")
    ] = None,
) -> None:
    """Write invented events until Ctrl+C or SIGTERM; the file under way is finished."""
    stop = stop_on_signals()
    generator = EventGenerator(seed, purchases)
    clock = (
        stepping_clock(start, timedelta(seconds=interval)) if start else lambda: datetime.now(timezone.utc)
    )
    typer.echo(f"Writing {batch_size} events every {interval:g} s to {output}; Ctrl+C ends it.")
    written = generate(generator, output, batch_size, lambda: stop.wait(interval), batches, clock)
    typer.echo(f"{written} events written.")
    if batches and written < batches * batch_size:
        raise StoppedError("Stopped before the last of --batches.")


if __name__ == "__main__":
    run_program(main)
