"""Takes the pictures of the pages that README and docs/ show, of their demo: script/docs --pictures."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / "docs" / "pictures"
# The address of a page, how many charts are on it, and how much of it is shown.
_PAGES = {"overview": (1, 750), "user": (2, 1930)}
_CHARTS = """[data-testid="stVegaLiteChart"] :is(svg, canvas)"""
_DRAWN = f"""charts => document.querySelectorAll('{_CHARTS}').length >= charts
    && !document.querySelector('[data-testid="stSkeleton"]')
    && document.querySelector('[data-testid="stApp"]').dataset.testScriptState === 'notRunning'"""
# The first look at the demo computes everybody.
_PATIENCE_MS = 600_000


def main() -> None:
    """Start the demo of the pages, and take a picture of each page once it is drawn."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("docs: chromium was not found (Debian: apt-get install chromium fonts-dejavu-core)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--demo", "--pipeline", "health", f"--server.port={port}", "--server.headless=true"]
    demo = subprocess.Popen(
        [str(_ROOT / "pulse"), "dashboard", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(color_scheme="light")
            for name, (charts, height) in _PAGES.items():
                page.set_viewport_size({"width": 1000, "height": height})
                _take(page, f"http://127.0.0.1:{port}/{name}", charts, _FOLDER / f"{name}.png")
    finally:
        demo.terminate()
        demo.wait()


def _take(page: Page, address: str, charts: int, file: Path) -> None:
    starting = Retrying(
        retry=retry_if_exception_type(Error), stop=stop_after_delay(120), wait=wait_fixed(0.5), reraise=True
    )
    starting(page.goto, address)
    page.wait_for_function(_DRAWN, arg=charts, timeout=_PATIENCE_MS)
    page.screenshot(path=file)
    sys.stdout.write(f"{file.relative_to(_ROOT)}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
