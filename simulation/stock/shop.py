"""An invented shop: products, clients and invoices as the stock pipeline's topics carry them.

`python -m simulation.stock.shop --help` tells how to send them to Kafka.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import typer

from contracts import StoppedError
from settings import load
from simulation.kafka_sender import kafka_sender
from simulation.program import Message, run_program, stop_on_signals

SALES, INVENTORY, CLIENTS = "sales", "inventory", "clients"
_CATEGORIES = ("Tea", "Coffee", "Spices", "Sweets", "Dairy", "Bakery")
_WORDS = ("Fine", "Green", "Dark", "Royal", "Wild", "Old", "Mild", "Red")


class Shop:
    """Invents a catalogue, clients and their purchases; the same seed makes the same shop."""

    def __init__(self, seed: int, products: int = 40, clients: int = 25) -> None:
        self._random = random.Random(seed)
        self._prices = {f"P{number:05d}": self._price() for number in range(1, products + 1)}
        self._clients = [f"C{number:05d}" for number in range(1, clients + 1)]
        self._invoices = 0

    def master(self, now: datetime) -> Iterator[Message]:
        """Every product and every client once; some products expire or have not moved for long."""
        # One that opens again, with the same seed, must not invent other invoices under the same numbers.
        self._invoices = round(now.timestamp() * 1000)
        for product_id in self._prices:
            yield self._product(product_id, now)
        for client_id in self._clients:
            opening = self._random.choice(["0", "0", "0", f"{self._random.randrange(0, 12_000)}.50"])
            content = {
                "client_id": client_id,
                "name": f"Client {client_id[1:]}",
                "email": f"{client_id.lower()}@shop.example",
                "phone": f"+000 {self._random.randrange(10**6, 10**7)}",
                "total_revenue_generated": opening,
                "updated_at": now.isoformat(),
            }
            yield _message(CLIENTS, client_id, content)

    def sale(self, now: datetime) -> Message:
        """A new invoice of one to four products."""
        self._invoices += 1
        # The first products of the catalogue sell best.
        names = list(self._prices)
        chosen = {
            names[int(len(names) * self._random.random() ** 2)] for _ in range(self._random.randint(1, 4))
        }
        units = {product_id: self._random.randint(1, 12) for product_id in sorted(chosen)}
        cents = sum(self._prices[product_id][1] * count for product_id, count in units.items())
        content = {
            "invoice_id": f"INV-{self._invoices:09d}",
            "client_id": self._random.choice(self._clients),
            "timestamp": now.isoformat(),
            "total_amount": _money(cents),
            "items": [{"product_id": name, "quantity": count} for name, count in units.items()],
        }
        return _message(SALES, content["invoice_id"], content)

    def update(self, now: datetime) -> Message:
        """A product whose price or stock changed."""
        product_id = self._random.choice(list(self._prices))
        self._prices[product_id] = self._price()
        return self._product(product_id, now)

    def _price(self) -> tuple[int, int]:
        buy = self._random.randrange(100, 20_000)
        return buy, round(buy * self._random.uniform(0.95, 1.6))

    def _product(self, product_id: str, now: datetime) -> Message:
        buy, sell = self._prices[product_id]
        number = int(product_id[1:])
        expires = (
            None if number % 3 else (now + timedelta(days=self._random.randint(-3, 60))).date().isoformat()
        )
        moved = (now - timedelta(days=self._random.choice([1, 2, 5, 12, 45]))).date().isoformat()
        content = {
            "product_id": product_id,
            "name": f"{_WORDS[number % 8]} {_CATEGORIES[number % 6]} {number}",
            "category": _CATEGORIES[number % 6],
            "quantity": self._random.randint(0, 400),
            "buy_price": _money(buy),
            "sell_price": _money(sell),
            "last_movement": moved,
            "expiry_date": expires,
            "batch_no": f"B{number % 90:03d}",
            "updated_at": now.isoformat(),
        }
        return _message(INVENTORY, product_id, content)


def _message(kind: str, key: Any, content: dict[str, Any]) -> Message:
    return Message(kind, key, json.dumps(content, ensure_ascii=False).encode())


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def main(
    seconds: Annotated[float, typer.Option(min=0, help="How long to trade; 0: until Ctrl+C.")] = 0,
    per_second: Annotated[float, typer.Option(min=0.1, help="Sales in a second.")] = 5,
    seed: Annotated[int, typer.Option(help="For the same shop again.")] = 1,
) -> None:
    """Sell to the topics of the stock pipeline on KAFKA_BOOTSTRAP_SERVERS; missing topics are made."""
    settings = load()
    topics: dict[str, str] = {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }
    shop, count, stop = Shop(seed), 0, stop_on_signals()
    ends = time.monotonic() + seconds if seconds else float("inf")
    with kafka_sender(settings.kafka_bootstrap_servers, topics) as send:
        send(shop.master(_now()), _now())
        while time.monotonic() < ends and not stop.is_set():
            send([shop.sale(_now())], _now())
            count += 1
            if count % 20 == 0:
                send([shop.update(_now())], _now())
            stop.wait(1 / per_second)
    typer.echo(f"{count} sales sent.")
    if seconds and time.monotonic() < ends:
        raise StoppedError("Stopped before --seconds had passed.")


def _now() -> datetime:
    return datetime.now(timezone.utc)


if __name__ == "__main__":
    run_program(main)
