"""The dashboard in a real Chromium, on the real server."""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from pymongo import MongoClient

from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from simulation.health.population import PATTERN_USER_ID
from sinks.health.indexes import ensure_indexes
from sources.mongo_client import connect
from tests.support.analytics_documents import analytics_documents
from tests.support.batches import report
from tests.support.canaries import canary, leaks, process_list, traces
from tests.support.class_archive import java_environment
from tests.support.esports_dataset import Writer
from tests.support.kafka_records import arrived
from tests.support.missing import missing
from tests.support.postgres_servers import fresh_database, fresh_role
from tests.support.shop_rows import fill_an_hour
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_shop import StockTopics
from tests.support.toxiproxy import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("dashboard in a browser")

ROOT = Path(__file__).parents[2]
_WAIT_MS = 300_000
# Address: how many charts the page has.
_PAGES = {
    "": 0,
    "overview": 1,
    "user": 2,
    "anomalies": 1,
    "pipeline": 2,
    "shop": 3,
    "matches": 3,
    "players": 0,
    "administrator": 3,
    "accountant": 0,
    "products": 0,
}
# The labels of an axis that are drawn over the next one.
_OVERPRINTED = """() => [...document.querySelectorAll('.role-axis-label')].flatMap(axis => {
    const shown = [...axis.querySelectorAll('text')].filter(text => text.getAttribute('opacity') !== '0');
    const boxes = shown.map(text => text.getBoundingClientRect());
    const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
    return shown.filter((text, at) => at && over(boxes[at - 1], boxes[at])).map(text => text.textContent);
})"""
# On an address below the root Streamlit looks for its server there first, and the browser reports that.
_PROBES = ("/_stcore/health", "/_stcore/host-config")
# Streamlit's own: a group's heading within the list of pages; the role of the field for files; and tables
# that scroll sideways on narrow screens, which Chromium lets the keyboard reach although nothing in them
# takes the focus.
_NOT_OURS = {"list", "listitem", "presentation-role-conflict", "scrollable-region-focusable"}


@dataclass
class _Visit:
    """A page of the browser, and what it did behind the scenes."""

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors of the console and of scripts, failed answers, and requests to anywhere else."""
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("response", lambda answer: self._response(answer.status, answer.url))

    def open(self, address: str, charts: int) -> Page:
        """Go there and wait until so many charts are drawn."""
        self.page.goto(f"{self.base}/{address}")
        self.page.locator("h1").wait_for()
        self.drawn(charts)
        return self.page

    def drawn(self, charts: int) -> None:
        """Wait until the page rests, with so many charts in sight: those of another tab are not drawn yet."""
        ready = """charts => {
            const all = [...document.querySelectorAll('[data-testid="stVegaLiteChart"]')].filter(
                chart => chart.offsetParent !== null);
            return all.length >= charts && all.every(chart => chart.querySelector('svg, canvas'))
                && !document.querySelector('[data-testid="stSkeleton"]')
                && document.querySelector('[data-testid="stApp"]').dataset.testScriptState === 'notRunning';
        }"""
        self.page.wait_for_function(ready, arg=charts, timeout=_WAIT_MS, polling=200)

    def _console(self, kind: str, text: str) -> None:
        if kind == "error" and "status of 404" not in text:
            self.problems.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.base, self.base.replace("http", "ws"), "data:", "blob:")):
            self.problems.append(f"request: {url}")

    def _response(self, status: int, url: str) -> None:
        if status >= 400 and not url.endswith(_PROBES):
            self.problems.append(f"answer: {status} {url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; missing, the test fails in CI and is skipped elsewhere."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        missing("chromium was not found (Debian: apt-get install chromium fonts-dejavu-core)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    # Debian turns on what without a graphics card is computed by the processor.
    flags += ["--disable-gpu-rasterization", "--disable-software-rasterizer", "--disable-extensions"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=flags)
        yield started
        started.close()


@pytest.fixture(scope="module")
def shop_dsn(postgres_dsn: str) -> Iterator[str]:
    """A database with an hour of the e-commerce pipeline, for a user who may only read."""
    with fresh_database(postgres_dsn) as dsn:
        fill_an_hour(dsn)
        with fresh_role(dsn, "SELECT ON user_events, user_event_batches") as reader:
            yield reader


@pytest.fixture(scope="module")
def installation(
    mongo_uri: str, shop_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Databases with what the pipelines leave, and the service's files: a dashboard's environment."""
    folder = tmp_path_factory.mktemp("installation")
    name = f"test_dashboard_{secrets.token_hex(6)}"
    client = connect(mongo_uri)
    history, metrics = BatchHistory(folder), Metrics(folder)
    for batch in (report(0, steps_ms={"poll": 2.0, "compute": 900.0}), report(1, errors=["1 × x: y"])):
        history.record(batch)
        metrics.observe(batch)
    Writer(folder / "processed").season(30, datetime.now(timezone.utc) - timedelta(minutes=90))
    try:
        ensure_indexes(client[name]["analytics"])
        client[name]["analytics"].insert_many(analytics_documents(3, datetime.now(timezone.utc)))
        write_events(client[name], shop_events())
        yield {
            "MONGO_URI": mongo_uri,
            "MONGO_DB_NAME": name,
            "STOCK_DB_NAME": name,
            "POSTGRES_DSN": shop_dsn,
            "LOG_DIRECTORY": str(folder),
            "METRICS_DIRECTORY": str(folder),
            "ESPORTS_OUTPUT_PATH": str(folder / "processed"),
        }
    finally:
        client.drop_database(name)


@contextmanager
def _dashboard(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[str]:
    """The app as people start it, from another folder than the checkout; its address."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    output = folder / "output.txt"
    with output.open("w") as out:
        process = subprocess.Popen(
            [*command, "--server.port", str(port), "--", *arguments],
            cwd=folder,
            env={**os.environ, "MONGO_TEST_URI": "", **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: _healthy(base), output.read_text, process)
        yield base
    finally:
        process.terminate()
        process.wait(300)


def _healthy(base: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{base}/_stcore/health", timeout=5) as answer:  # noqa: S310
        return bool(answer.read() == b"ok")
    return False


@pytest.fixture(scope="module")
def base(installation: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard of the installation."""
    with _dashboard(tmp_path_factory.mktemp("dashboard"), installation) as address:
        yield address


@contextmanager
def _visit(browser: Browser, base: str, width: int = 1280, scheme: Any = "light") -> Iterator[_Visit]:
    # So high that axe, which passes over what is out of sight, sees the whole page.
    context = browser.new_context(viewport={"width": width, "height": 5_000}, color_scheme=scheme)
    context.set_default_timeout(_WAIT_MS)
    visit = _Visit(context.new_page(), base)
    visit.watch()
    yield visit
    context.close()
    assert visit.problems == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_pages_are_drawn_accessible_and_ask_nobody_else(
    browser: Browser, base: str, width: int, scheme: str
) -> None:
    """Charts with a name and legible labels, no error, no request elsewhere, no sideways scrolling.

    Each has an address and a title of its own, and nothing that axe objects to.
    """
    titles = []
    with _visit(browser, base, width, scheme) as visit:
        for address, charts in _PAGES.items():
            page = visit.open(address, charts)
            assert page.url == f"{base}/{address}"
            titles.append(page.title())
            assert page.locator("h1").count() == 1
            _charts_are_named(page)
            assert page.locator('[data-testid="stException"]').count() == 0
            widths = page.evaluate("""() => [document.documentElement, document.querySelector(
                '[data-testid="stMain"]')].map(element => element.scrollWidth)""")
            assert max(widths) <= width, address
            assert page.evaluate(_OVERPRINTED) == [], address
            assert _violations(page) == [], address
        page = visit.open("shop", _PAGES["shop"])
        page.get_by_role("tab", name="Stream").click()
        visit.drawn(2)
        _charts_are_named(page)
        assert _violations(page) == []
        assert len(set(titles)) == len(_PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_from_a_list_is_legible(browser: Browser, base: str, scheme: str) -> None:
    """Its mark in the field has contrast."""
    with _visit(browser, base, scheme=scheme) as visit:
        page = visit.open("players", 0)
        _choose(page, page.get_by_label("Role"), "mid")
        page.keyboard.press("Escape")
        page.get_by_role("listbox").wait_for(state="detached")
        assert page.locator("[data-tag]").inner_text() == "mid"
        visit.drawn(0)
        assert _violations(page) == []


def _charts_are_named(page: Page) -> None:
    for chart in page.locator('[data-testid="stVegaLiteChart"]:visible').all():
        assert len(chart.get_attribute("aria-label") or "") > 20


def _violations(page: Page) -> list[Any]:
    """What axe objects to, but for what is Streamlit's own."""
    # While a part of the page is computed again, Streamlit lets it fade, and a sign with a button appear.
    fading = '[data-testid="stElementContainer"], [role="tablist"], [role="tab"]'
    sign = '[data-testid="stStatusWidget"], [data-testid="stBaseButton-header"]'
    page.add_style_tag(
        content=f"{fading} {{opacity: 1 !important; transition: none !important}} {sign} {{display: none}}"
    )
    found = Axe().run(page).response["violations"]
    return [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found if v["id"] not in _NOT_OURS]


def test_the_keyboard_reaches_every_page(browser: Browser, base: str) -> None:
    """Tab comes to the links of the pages, and Enter follows them."""
    with _visit(browser, base) as visit:
        page = visit.open("", 0)
        for name, charts in {"User": 2, "Anomalies": 1, "Pipeline": 2, "Storefront": 3}.items():
            for _ in range(60):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.innerText || ''").strip() == name:
                    break
            else:
                pytest.fail(f"Tab does not reach {name}")
            page.keyboard.press("Enter")
            page.locator("h1", has_text=name).wait_for()
            visit.drawn(charts)


def test_an_anomaly_leads_to_its_user(browser: Browser, base: str) -> None:
    """The link opens the user's page with the worked example's figures."""
    with _visit(browser, base) as visit:
        page = visit.open("anomalies", 1)
        link = page.locator(f'a[href*="{PATTERN_USER_ID}"]').first
        page.goto(f"{base}/{link.get_attribute('href')}")
        visit.drawn(2)
        shown = page.locator('[data-testid="stMetric"]').all_inner_texts()
        assert any("9,771" in text for text in shown), shown
        assert any("7 days" in text for text in shown), shown


def test_hostile_ids_and_messages_are_shown_and_do_nothing(
    browser: Browser, installation: dict[str, str], base: str, tmp_path: Path
) -> None:
    """HTML and Markdown of the data stay text in the browser; no formula begins a cell of a download."""
    hostile = '<img src=x onerror="document.title=1"> ![](http://evil.example/p.png) :red[z]'
    client: MongoClient[dict[str, Any]] = MongoClient(installation["MONGO_URI"], tz_aware=True)
    name = f"{installation['MONGO_DB_NAME']}_hostile"
    documents = list(
        client[installation["MONGO_DB_NAME"]]["analytics"].find({"analytics.anomalyDetected": True})
    )
    for document in documents:
        del document["_id"]
        document["userId"] = hostile
        document["analytics"]["anomalyDetails"].update(message="=HYPERLINK(1)", severity=hostile)
    # One of each key.
    chosen = {(d["timeRange"], d["metricType"]): d for d in documents}
    try:
        ensure_indexes(client[name]["analytics"])
        client[name]["analytics"].insert_many(list(chosen.values()))
        with (
            _dashboard(tmp_path, {**installation, "MONGO_DB_NAME": name}) as address,
            _visit(browser, address) as visit,
        ):
            page = visit.open("anomalies", 1)
            assert "<img src=x" in page.locator("table").first.inner_text()
            with page.expect_download() as download:
                page.get_by_role("button", name="Download as CSV").click()
            content = Path(download.value.path()).read_text(encoding="utf-8")
            rows = list(csv.DictReader(io.StringIO(content, newline="")))
            assert rows
            assert {row["message"] for row in rows} == {"'=HYPERLINK(1)"}
            visit.open("user", 1)
            assert page.locator("img").count() == 0
            assert page.title() != "1"
    finally:
        client.drop_database(name)
        client.close()


def test_what_the_accountant_enters_arrives_in_kafka_once(
    browser: Browser, mongo_uri: str, kafka: str, tmp_path: Path
) -> None:
    """Through the door: a product, a sale saved by a double click, each tab accessible, and one event each.

    Neither the password nor what was typed by mistake is in anything that the dashboard printed or stored, or
    in a command line. A restart sends nothing again.
    """
    password, mistaken = canary("correct horse "), canary("battery staple ")
    topics = StockTopics(kafka)
    environment = {
        "MONGO_URI": mongo_uri,
        "STOCK_DB_NAME": f"test_nothing_{secrets.token_hex(6)}",
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "ACCOUNTANT_PASSWORD": password,
        **{f"KAFKA_TOPIC_{kind.upper()}": name for kind, name in topics.names.items()},
    }
    try:
        with _dashboard(tmp_path, environment) as address, _visit(browser, address) as visit:
            page = visit.open("accountant", 0)
            _try_to_enter(page, mistaken)
            page.get_by_text("The password is wrong").wait_for()
            _enter(page, password)
            _enter_a_product_and_a_sale(page)
            _sent_is(page, 2)
            _tabs_are_accessible(page)
            _the_sample_is_a_workbook(page)
            assert [trace for trace in traces(password) if trace in process_list()] == []
        assert (tmp_path / "stock_management.db").stat().st_size > 0
        assert leaks(tmp_path, {"the password": password, "what was mistaken for it": mistaken}) == []
        with (
            _dashboard(tmp_path, environment) as address,
            _visit(browser, address, 400, "dark") as visit,
        ):
            page = visit.open("accountant", 0)
            _enter(page, password)
            _sent_is(page, 2)
            _tabs_are_accessible(page)
        [(key, event)] = arrived(kafka, topics.names["sales"])
        assert key == event["invoice_id"]
        assert event["items"] == [{"product_id": "P1", "quantity": 3}]
        assert event["total_amount"] == 8.7
        assert [key for key, _ in arrived(kafka, topics.names["inventory"])] == ["P1"]
    finally:
        topics.remove()


@pytest.fixture
def no_server() -> dict[str, str]:
    """The environment of a demo: nothing answers where servers would be."""
    return {
        "MONGO_URI": "mongodb://127.0.0.1:9",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        **java_environment(),
    }


def test_the_demo_of_all_pipelines_needs_no_server(
    browser: Browser, no_server: dict[str, str], tmp_path: Path
) -> None:
    """Home says when each works. There are matches and players; the shop trades while its page is open.

    What the accountant enters reaches it, and the storefront has visitors.
    """
    with _dashboard(tmp_path, no_server, "--demo") as address, _visit(browser, address) as visit:
        page = visit.open("", 0)
        page.get_by_text(re.compile(r"The simulation is starting|All 4 pipelines work")).first.wait_for()
        page.get_by_text("All 4 pipelines work").wait_for()
        page = visit.open("matches", 2)
        page.get_by_role("heading", name="Latest results").wait_for()
        visit.open("players", 0).locator("table tr").nth(10).wait_for()
        page = visit.open("administrator", 1)
        tile = page.locator('[data-testid="stMetric"]').filter(has_text="Sales")
        sales = tile.inner_text()
        page.wait_for_function(
            """before => [...document.querySelectorAll('[data-testid="stMetric"]')].every(
                tile => tile.innerText !== before)""",
            arg=sales,
            timeout=_WAIT_MS,
        )
        page = visit.open("accountant", 0)
        _enter(page, "accountant")
        _enter_a_product_and_a_sale(page)
        _sent_is(page, 2)
        page = visit.open("products?product_search=P1", 0)
        page.get_by_role("cell", name="Tea", exact=True).wait_for()
        visit.open("shop", _PAGES["shop"])
        page = visit.open("break-it", 0)
        page.get_by_role("button", name="Begin").wait_for()
        assert _violations(page) == []


def _tabs_are_accessible(page: Page) -> None:
    for tab in ("Sale", "Invoices", "Product", "Client", "Workbook", "Outbox"):
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("tabpanel", name=tab).wait_for()
        assert _violations(page) == [], tab


def _the_sample_is_a_workbook(page: Page) -> None:
    page.get_by_role("tab", name="Workbook").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download a sample").click()
    assert zipfile.is_zipfile(download.value.path())


def _try_to_enter(page: Page, password: str) -> None:
    page.get_by_label("Password").first.fill(password)
    page.get_by_role("button", name="Open").click()


def _enter(page: Page, password: str) -> None:
    _try_to_enter(page, password)
    page.get_by_role("tab", name="Sale").wait_for()


def _enter_a_product_and_a_sale(page: Page) -> None:
    page.get_by_role("tab", name="Product").click()
    values = {"Product id": "P1", "Name": "Tea", "Quantity in stock": "5", "Purchase price, EUR": "1.10"}
    panel = page.get_by_role("tabpanel", name="Product")
    for label, value in {**values, "Selling price, EUR": "2.90"}.items():
        panel.get_by_label(label, exact=True).fill(value)
    panel.get_by_role("button", name="Save the product").click()
    panel.get_by_text("is saved").wait_for()
    page.get_by_role("tab", name="Sale").click()
    panel = page.get_by_role("tabpanel", name="Sale")
    _choose(page, panel.get_by_label("Client: choose one, or type a new id"), "C1")
    _choose(page, panel.get_by_label("Product of item 1"), "P1")
    panel.get_by_label("Quantity of item 1").fill("3")
    panel.get_by_label("Quantity of item 1").press("Enter")
    panel.get_by_text("Sum at selling prices: 8.70").wait_for()
    panel.get_by_role("button", name="Save the sale").dblclick()
    panel.get_by_text("is saved").wait_for()


def _choose(page: Page, box: Any, value: str) -> None:
    """Type into a select box and take what it offers."""
    box.click()
    page.keyboard.type(value)
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Enter")


def _sent_is(page: Page, count: int) -> None:
    """Wait until the outbox says that so many were sent, and none waits."""
    ready = """count => {
        const texts = [...document.querySelectorAll('[data-testid="stMetric"]')].map(tile => tile.innerText);
        const shown = name => texts.find(text => text.startsWith(name))?.trim().split(/\\s+/).pop();
        return shown('Sent') === String(count) && shown('Waiting') === '0';
    }"""
    page.wait_for_function(ready, arg=count, timeout=_WAIT_MS, polling=200)
