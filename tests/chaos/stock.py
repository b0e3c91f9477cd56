"""The stock pipeline under crash loops: a shop that sells, changes prices, repeats itself and errs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from pymongo import MongoClient

from analytics.stock.rules import INVENTORY, SALES
from sources.stock.published_ranking import read_published
from tests.chaos.servers import Surroundings
from tests.chaos.stream import StreamWorkload, Tag, kafka_claims
from tests.support.job import environment_of
from tests.support.stock_events import (
    assert_totals_are_the_sum_of_the_invoices,
    client,
    kind_of,
    product,
    sale,
)
from tests.support.stock_shop import StockShop, StockTopics
from tests.support.world import encode

_TIMEOUT_MS = 2_000
_PRODUCTS, _CLIENTS = 14, 9
_PARTITIONS = 2
_WINNERS = 10


class StockWorkload(StreamWorkload):
    """See `Workload`; a tag is an invoice's id."""

    name = "stock"
    settings = {  # noqa: RUF012
        "STOCK_INTERVAL_SECONDS": "0.5",
        # A recount is due whenever nothing is written.
        "RECONCILE_INTERVAL_HOURS": "0.000001",
    }
    cuts = {"STOCK_MAX_OFFSETS_PER_TRIGGER": "40"}  # noqa: RUF012
    arguments = ("--pipeline", "stock")
    beside = {"compact": ("main.py", "stock", "compact")}  # noqa: RUF012

    def __init__(self, around: Surroundings, seed: int) -> None:
        (uri, door), (servers, kafka_door) = around.mongo(), around.kafka()
        self._client = MongoClient[dict[str, Any]](
            uri, tz_aware=True, serverSelectionTimeoutMS=_TIMEOUT_MS, uuidRepresentation="standard"
        )
        self._database = self._client["stock"]
        self._topics = StockTopics(servers, _PARTITIONS)
        # A letter belongs to the server's address: the door's.
        door = f"{door}&socketTimeoutMS={_TIMEOUT_MS}"
        self.world = self._shop = StockShop(around.data, self._topics, door, self._database, **around.folders)
        through = {
            **environment_of(self.world.settings),
            "KAFKA_BOOTSTRAP_SERVERS": kafka_door,
            **self.settings,
        }
        super().__init__(around, through, seed)
        self._invoices: dict[str, dict[str, Any]] = {}
        self._newest: dict[str, dict[str, Any]] = {}
        self._moment = datetime.now(timezone.utc) - timedelta(days=1)

    @property
    def steps(self) -> Sequence[str]:
        """Between two batches the totals are recounted."""
        return (*super().steps, "recount")

    # --- what is sent -----------------------------------------------------------------------------

    @property
    def kinds(self) -> Mapping[str, tuple[int, Callable[[], None]]]:
        """A shop's day."""
        return {
            "sale": (8, self._sell),
            "sales at once": (2, lambda: self._sell(15)),
            "sale again": (2, self._sell_again),
            "other content of an invoice": (1, self._contradict),
            "price": (2, self._price),
            "outdated price": (1, self._outdated),
            "client": (2, self._meet),
            "bad record": (2, self._err),
        }

    def prepare(self) -> None:
        """Prices of most products, and a first day."""
        for number in range(_PRODUCTS - 2):
            self._price(number)
        self._sell(30)

    def _send(self, *events: Mapping[str, Any] | str, partition: int = 0, kind: str | None = None) -> None:
        for event in events:
            place = kind or kind_of(event if isinstance(event, Mapping) else {})
            self._topics.send(event, kind=place, partition=partition)
            new = isinstance(event, Mapping) and self._invoices.get(event.get("invoice_id", "")) is event
            self.note((self._topics.names[place], partition), event["invoice_id"] if new else None)  # type: ignore[index]

    def _sell(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self._invoices)
            chosen = self.rng.sample(range(_PRODUCTS), self.rng.randint(1, 3))
            units = {f"P{each}": self.rng.randint(1, 9) for each in chosen}
            amount = f"{self.rng.randint(1, 900_000) / 100:.2f}"
            made = sale(f"I{number}", f"C{self.rng.randrange(_CLIENTS)}", amount, **units)
            self._invoices[made["invoice_id"]] = made
            # Whatever has an invoice's id comes after it.
            self._send(made, partition=number % _PARTITIONS)

    def _sell_again(self) -> None:
        number = self.rng.randrange(len(self._invoices))
        self._send(dict(self._invoices[f"I{number}"]), partition=number % _PARTITIONS)

    def _contradict(self) -> None:
        number = self.rng.randrange(len(self._invoices))
        other = {**self._invoices[f"I{number}"], "total_amount": f"{1_000_000 + len(self.refused)}.00"}
        self._refuse(other, "conflict", number % _PARTITIONS)

    def _err(self) -> None:
        number = len(self.refused)
        bad: list[tuple[Mapping[str, Any] | str, str, str]] = [
            (sale(f"B{number}", amount="-1"), SALES, "negative_total_amount"),
            (f'{{"invoice_id": "cut off {number}', SALES, "corrupt"),
            (product(f"B{number}", sell="much"), INVENTORY, "invalid_sell_price"),
        ]
        event, kind, reason = self.rng.choice(bad)
        self._refuse(event, reason, self.rng.randrange(_PARTITIONS), kind)

    def _refuse(
        self, event: Mapping[str, Any] | str, reason: str, partition: int, kind: str | None = None
    ) -> None:
        self.refused[(encode(event) or b"").decode()] = reason
        self._send(event, partition=partition, kind=kind)

    def _price(self, number: int | None = None) -> None:
        chosen = self.rng.randrange(_PRODUCTS) if number is None else number
        made = product(
            f"P{chosen}",
            f"{self.rng.randint(100, 999) / 100:.2f}",
            f"{self.rng.randint(500, 2_000) / 100:.2f}",
            quantity=self.rng.randrange(50),
            updated_at=self._later(),
            expiry_date=self.rng.choice(("2020-01-01", "2999-01-01")),
        )
        self._newest[made["product_id"]] = made
        self._send(made, partition=chosen % _PARTITIONS)

    def _outdated(self) -> None:
        self._send(product("P0", "0.01", "99.00", updated_at="2001-01-01T00:00:00Z"), partition=1)

    def _meet(self) -> None:
        chosen = self.rng.randrange(_CLIENTS)
        made = client(f"C{chosen}", f"{self.rng.randint(0, 2_500_000) / 100:.2f}", updated_at=self._later())
        self._newest[made["client_id"]] = made
        self._send(made, partition=chosen % _PARTITIONS)

    def _later(self) -> str:
        self._moment += timedelta(milliseconds=1)
        return self._moment.isoformat().replace("+00:00", "Z")

    # --- what must be there -----------------------------------------------------------------------

    def claims(self) -> dict[Hashable, int]:
        """See StreamWorkload."""
        return kafka_claims([self.data / "spark-checkpoints" / "stock" / "events"])

    def stored(self) -> Counter[Tag]:
        """The invoices' ids."""
        return Counter(one["_id"] for one in self._database["sales"].find({}, {"_id": 1}))

    def check_result(self) -> None:
        """Invoices, totals, prices, clients, rankings, and each record once in the cold store."""
        super().check_result()
        for stored in self._database["sales"].find():
            sent = self._invoices[stored["_id"]]
            assert stored["client_id"] == sent["client_id"], stored
            assert stored["total_amount"].to_decimal() == Decimal(sent["total_amount"]), stored
            assert _units(stored) == _units(sent), stored
        assert_totals_are_the_sum_of_the_invoices(self._database)
        self._check_newest()
        self._check_rankings()
        records = Counter((topic, partition, offset) for _, topic, partition, offset, _ in self._shop.cold())
        kept = Counter(dict.fromkeys(self.sent, 0))
        for (topic, partition, _), count in records.items():
            assert count == 1, "the cold store has records twice"
            kept[topic, partition] += 1
        assert kept == {place: len(tags) for place, tags in self.sent.items()}, "the cold store lacks records"

    def _check_newest(self) -> None:
        for product_id, sent in self._newest.items():
            if product_id.startswith("P"):
                stored = self._database["inventory"].find_one({"_id": product_id})
                assert stored is not None, f"{product_id} is missing"
                prices = [stored[name].to_decimal() for name in ("buy_price", "sell_price")]
                assert prices == [Decimal(sent["buy_price"]), Decimal(sent["sell_price"])], stored
                assert stored["quantity"] == sent["quantity"], stored
            else:
                stored = self._database["clients"].find_one({"_id": product_id})
                opening = round(Decimal(sent["total_revenue_generated"]) * 100)
                assert stored is not None, f"{product_id} is missing"
                assert stored["opening_cents"] == opening, stored

    def _check_rankings(self) -> None:
        sold: Counter[str] = Counter()
        for invoice in self._invoices.values():
            sold.update(_units(invoice))
        prices = {
            name: Decimal(one["sell_price"]) - Decimal(one["buy_price"])
            for name, one in self._newest.items()
            if name.startswith("P")
        }
        profits = {name: prices[name] * count for name, count in sold.items() if name in prices}
        best = sorted(profits.items(), key=lambda item: (-item[1], item[0]))[:_WINNERS]
        assert [(name, Decimal(profit)) for name, profit in self._shop.winners()] == best
        risky = {name for name, one in self._newest.items() if one.get("expiry_date") == "2020-01-01"}
        assert {one["product_id"] for one in read_published(self._database, "loss_risk_products")} == risky

    def close(self) -> None:
        """Give up."""
        super().close()
        self._client.close()


def _units(invoice: Mapping[str, Any]) -> dict[str, int]:
    return {item["product_id"]: item["quantity"] for item in invoice["items"]}
