"""Invented events: their ids, shares and prices, and files that are never seen half-written."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts.ecommerce import EVENT_COLUMNS
from simulation.ecommerce.events import EventGenerator, event_id, generate, write_file
from tests.support.waiting import wait_for

NOW = datetime(2026, 1, 29, 10, 0, tzinfo=timezone.utc)
ROOT = Path(__file__).parents[4]
COMMAND = (sys.executable, "-m", "simulation.ecommerce.events")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_same_event_always_has_the_same_id() -> None:
    """The UUID of the MD5 of user, product and time; any other input gives another."""
    known = event_id("USER_000001", "PROD_000005", "2026-01-29 10:00:00")
    assert known == "38f9045a-d91d-5386-9bca-30576879af99"
    assert event_id("USER_000001", "PROD_000005", "2026-01-29 10:00:01") != known


def test_the_catalogue_has_what_the_shop_sells() -> None:
    """At least 50 products over 8 categories, numbered, within the prices."""
    products = EventGenerator(1).products
    assert len(products) >= 50
    assert len({product.category for product in products}) == 8
    assert [product.id for product in products][:2] == ["PROD_000001", "PROD_000002"]
    assert len({product.name for product in products}) == len(products)
    assert all(9.99 <= product.base_price <= 299.99 for product in products)


def test_events_are_as_the_contract_says() -> None:
    """Users, age, 30 % purchases, prices only there and within 10 % of the base price, two decimals."""
    generator = EventGenerator(1)
    base = {product.id: product.base_price for product in generator.products}
    events = list(generator.events(5_000, NOW))
    assert 0.27 < Counter(event["event_type"] for event in events)["purchase"] / len(events) < 0.33
    for event in events:
        assert re.fullmatch(r"USER_00(0\d{3}|1000)", event["user_id"])
        moment = datetime.fromisoformat(event["event_timestamp"].replace("Z", "+00:00"))
        assert timedelta(0) <= NOW - moment <= timedelta(seconds=60)
        assert event["event_id"] == event_id(event["user_id"], event["product_id"], event["event_timestamp"])
        if event["event_type"] == "view":
            assert event["price"] == ""
        else:
            assert re.fullmatch(r"\d+\.\d\d", event["price"])
            assert abs(float(event["price"]) / base[event["product_id"]] - 1) < 0.101


def test_a_seed_gives_the_same_events_again() -> None:
    """At the same time; another seed gives others."""
    first, again, other = (list(EventGenerator(seed).events(20, NOW)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_files_have_the_header_and_the_name_of_the_contract(tmp_path: Path) -> None:
    """The seed's first test case: names, header, rows. A taken name is passed by, not overwritten."""
    generator = EventGenerator(1)
    paths = [write_file(tmp_path, 1, generator.events(3, NOW), NOW) for _ in range(2)]
    assert [path.name for path in paths] == [
        "events_20260129_100000_000001.csv",
        "events_20260129_100000_000002.csv",
    ]
    assert paths[0].read_text().splitlines()[0] == ",".join(EVENT_COLUMNS)
    assert [len(_rows(path)) for path in paths] == [3, 3]


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    """Until it is whole its name begins with a dot, which Spark leaves alone."""
    seen: list[list[str]] = []

    def watched() -> Iterator[dict[str, str]]:
        for event in EventGenerator(1).events(2, NOW):
            seen.append([path.name for path in tmp_path.iterdir()])
            yield event

    path = write_file(tmp_path, 1, watched(), NOW)
    assert seen == [[f".tmp_{path.name}"]] * 2
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Between two files; what it wrote is what it counted."""
    answers = iter([False, False, True])
    written = generate(EventGenerator(1), tmp_path, 10, lambda: next(answers))
    assert written == 30
    assert sum(len(_rows(path)) for path in tmp_path.iterdir()) == 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_with_whole_files(tmp_path: Path, number: int) -> None:
    """The file under way is finished, the count is told, the exit code is 0."""
    command = [*COMMAND, "--output", str(tmp_path), "--interval", "0.05"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: list(tmp_path.glob("events_*.csv")), "a file", process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    rows = sum(len(_rows(path)) for path in tmp_path.glob("events_*.csv"))
    assert f"{rows} events written." in output
    assert not list(tmp_path.glob(".tmp_*"))


def test_the_same_seed_and_start_give_the_same_files(tmp_path: Path) -> None:
    """Byte for byte, names included."""
    for name in ("a", "b"):
        options = ["--output", str(tmp_path / name), "--seed", "7", "--start", "2026-01-29T10:00:00"]
        command = [*COMMAND, *options, "--batches", "2", "--interval", "0"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")
    )
    assert len(first) == 2
    assert first == second
