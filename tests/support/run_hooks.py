"""How a run of the tests ends: in good order when it is told to, and saying what was not run."""

from __future__ import annotations

import signal

import pytest

from tests.support.missing import IN_CI, not_run


def pytest_configure() -> None:
    """SIGTERM and Ctrl+C end a run in good order: fixtures are torn down, and with them the servers of tests.

    A shell that starts pytest in the background would have it ignore Ctrl+C.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    # Ctrl+C reaches all processes of a terminal, and script/test then ends them too: one end is enough.
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise KeyboardInterrupt


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last of all what was not run. In CI the last line is pytest's own: nothing may be missing there."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI or reporter is None:
        return
    if line := not_run(reporter.stats.get("skipped", ())):
        reporter.write_line(line, yellow=True)
