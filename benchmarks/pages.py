"""Measures the pages of the dashboard in a browser, on stores with much in them: first paint, and refresh.

The dashboard is the one that people start, in a process of its own. *First paint* is the time from the
call of an address until the page rests: all is drawn, all charts too. *Refresh* is what drawing it again
costs the dashboard's process, with nothing remembered: every read is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from bson import ObjectId
from playwright.sync_api import Browser, Page, sync_playwright
from pymongo import MongoClient
from pymongo.database import Database
from rich.console import Console

from benchmarks import pages_data
from benchmarks.ecommerce_database import database as events_database
from benchmarks.figures import Figures
from benchmarks.population import user_ids
from benchmarks.stock import fill as fill_stock
from dashboard.data.health_data import RECENT_SECONDS
from dashboard.data.shop import SHOP_SECONDS
from monitoring import logs
from pipelines.catalog import PIPELINES
from settings import load
from sinks.stock.schema import ensure_indexes as ensure_stock_indexes
from tests.support.toxiproxy import free_port

_PAINT_SECONDS, _REFRESH_CPU_SECONDS = 3.0, 1.0
_PASSWORD = "benchmark"  # noqa: S105  of nothing but this
_WAIT_MS = 120_000
# After so long nothing that a page had read is remembered; Home asks for all of it.
_FORGOTTEN_SECONDS = {"Home": RECENT_SECONDS + 1, "Health": RECENT_SECONDS + 1}
_OTHERS_FORGOTTEN_SECONDS = SHOP_SECONDS + 1
_TICKS = os.sysconf("SC_CLK_TCK")
_RESTS = """() => {
    const charts = [...document.querySelectorAll('[data-testid="stVegaLiteChart"]')].filter(
        chart => chart.offsetParent !== null);
    return document.querySelector('h1') && charts.every(chart => chart.querySelector('svg, canvas'))
        && !document.querySelector('[data-testid="stSkeleton"]')
        && document.querySelector('[data-testid="stApp"]').dataset.testScriptState === 'notRunning';
}"""


def addresses() -> dict[str, tuple[str, str]]:
    """Room and title of each page by its address, as the pipelines declare them."""
    rooms = [one.pages(load(env_file=None)) for one in PIPELINES.values() if one.pages]
    return {
        "": ("Home", "Home"),
        **{page.address: (room.title, page.title) for room in rooms for page in room.pages},
    }


@contextmanager
def dashboard(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a dashboard of `environment`, and its process id."""
    port = free_port()
    app = Path(__file__).parents[1] / "dashboard" / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port)]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        base = f"http://127.0.0.1:{port}"
        while not _healthy(base):
            if process.poll() is not None:
                raise RuntimeError(f"the dashboard ended: {(folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)
        yield base, process.pid
    finally:
        process.terminate()
        process.wait()


def _healthy(base: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{base}/_stcore/health", timeout=5) as answer:  # noqa: S310
        return bool(answer.read() == b"ok")
    return False


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium. Raises RuntimeError without one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("chromium was not found (Debian: apt-get install chromium fonts-dejavu-core)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Visits:
    """Opens pages of the dashboard at `base`, which is the process `pid`, and measures them."""

    def __init__(self, browser: Browser, base: str, pid: int) -> None:
        self._browser, self._base, self._pid = browser, base, pid

    def open(self, address: str) -> tuple[float, float]:
        """Returns the seconds until the page rests, and the CPU seconds that it cost the dashboard."""
        context = self._browser.new_context(viewport={"width": 1280, "height": 2_000})
        context.set_default_timeout(_WAIT_MS)
        page = context.new_page()
        began, cpu = time.perf_counter(), _cpu_seconds(self._pid)
        page.goto(f"{self._base}/{address}")
        self._rest(page)
        if (door := page.get_by_label("Password", exact=True)).count():
            door.fill(_PASSWORD)
            began, cpu = time.perf_counter(), _cpu_seconds(self._pid)
            page.get_by_role("button", name="Open").click()
            door.wait_for(state="detached")
            self._rest(page)
        found = time.perf_counter() - began, _cpu_seconds(self._pid) - cpu
        if page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').count():
            raise RuntimeError(f"/{address} shows an error: {page.locator('body').inner_text()[-1000:]}")
        context.close()
        return found

    def _rest(self, page: Page) -> None:
        page.wait_for_function(_RESTS, polling=50)


def environment_of(uri: str, name: str, dsn: str, folder: Path) -> dict[str, str]:
    """The settings of a dashboard of what `fill` made."""
    return {
        "MONGO_URI": uri,
        "MONGO_DB_NAME": name,
        "STOCK_DB_NAME": f"{name}_stock",
        "POSTGRES_DSN": dsn,
        "LOG_DIRECTORY": str(folder),
        "METRICS_DIRECTORY": str(folder),
        "ESPORTS_OUTPUT_PATH": str(folder / "processed"),
        "SQLITE_DB_PATH": str(folder / "books.db"),
        "ACCOUNTANT_PASSWORD": _PASSWORD,
        "ADMINISTRATOR_PASSWORD": _PASSWORD,
    }


def fill(
    client: MongoClient[dict[str, Any]],
    name: str,
    dsn: str,
    folder: Path,
    sizes: tuple[int, int, int],
    out: Console,
) -> None:
    """Fill MongoDB's databases `name` and `name`_stock, PostgreSQL's of `dsn`, and `folder`.

    `sizes` are users, sales and rows.
    """
    users, sales, rows = sizes
    works: dict[str, Callable[[], None]] = {
        "invoices": lambda: pages_data.fill_books(folder / "books.db", sales),
        "events": lambda: pages_data.fill_events(dsn, rows, users),
        "season": lambda: pages_data.fill_season(folder / "processed", rows),
        "sales": lambda: _fill_shop(client[f"{name}_stock"], sales),
        "people": lambda: pages_data.fill_health(client[name], users),
        "files": lambda: pages_data.fill_files(folder),
    }
    for what, work in works.items():
        began = time.perf_counter()
        work()
        out.print(f"{what} filled in {time.perf_counter() - began:.0f} s", highlight=False)


def _fill_shop(database: Database[dict[str, Any]], sales: int) -> None:
    fill_stock(database, sales, with_seed=False)
    # Afterwards, which is faster.
    ensure_stock_indexes(database)


def measure(environment: Mapping[str, str], user: ObjectId, rounds: int, figures: Figures) -> None:
    """Visit each page of a dashboard of `environment`, that of the person `user` among them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dashboard(environment, Path(folder)) as (base, pid),
        browser() as chromium,
    ):
        _measure(Visits(chromium, base, pid), addresses(), user, rounds, figures)


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    dsn: Annotated[str, typer.Option(envvar="POSTGRES_TEST_DSN", help="A server to fill with test data.")],
    users: Annotated[int, typer.Option(help="People of health.")] = 100_000,
    sales: Annotated[int, typer.Option(help="Sales of stock, and invoices of the accountant.")] = 1_000_000,
    rows: Annotated[int, typer.Option(help="Events of e-commerce, and rows of esports.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Refreshes of each page; the median counts.")] = 1,
) -> None:
    """Seconds until each page is drawn, and CPU seconds of the dashboard for drawing it again."""
    logs.configure("ERROR")
    out = Console(width=120)
    figures = Figures(out, "pages")
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    name = f"bench_pages_{time.time_ns()}"
    with ExitStack() as at_end:
        folder = Path(at_end.enter_context(tempfile.TemporaryDirectory()))
        at_end.callback(client.drop_database, name)
        at_end.callback(client.drop_database, f"{name}_stock")
        address = at_end.enter_context(events_database(dsn))
        fill(client, name, address, folder, (users, sales, rows), out)
        environment = environment_of(uri, name, address, folder)
        measure(environment, user_ids(users)[0], rounds, figures)
    figures.end()


def _measure(
    visits: Visits,
    pages: Mapping[str, tuple[str, str]],
    user: ObjectId,
    rounds: int,
    figures: Figures,
) -> None:
    # What is imported by the first visitor of all is paid once.
    started, _ = visits.open("")
    queries = {"user": f"?user={user}", "shop": "?span=Last+24+hours"}
    rows, worst_paint, worst_cpu = [], 0.0, 0.0
    for address, (room, title) in pages.items():
        found = []
        for _ in range(rounds + 1):
            time.sleep(_FORGOTTEN_SECONDS.get(room, _OTHERS_FORGOTTEN_SECONDS))
            found.append(visits.open(address + queries.get(address, "")))
        paint, cpu = found[0][0], median(cpu for _, cpu in found[1:])
        worst_paint, worst_cpu = max(worst_paint, paint), max(worst_cpu, cpu)
        again = median(seconds for seconds, _ in found[1:])
        rows.append([f"{room}: {title}", f"{paint:.2f}", f"{again:.2f}", f"{cpu:.2f}"])
        figures.out.print(" ".join(rows[-1]), highlight=False)
    columns = ["page", "first paint, s", "again, s", "refresh, CPU s"]
    figures.table(f"Each page by itself; the first of all took {started:.1f} s", columns, rows)
    figures.judge("first paint of the slowest page", worst_paint, " s", most=_PAINT_SECONDS)
    figures.judge("refresh of the dearest page, CPU", worst_cpu, " s", most=_REFRESH_CPU_SECONDS)


if __name__ == "__main__":
    typer.run(main)
