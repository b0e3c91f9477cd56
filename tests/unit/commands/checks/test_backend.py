"""The backend's row of `main.py check`, against a backend as strict as the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from commands.checks.backend import answers
from commands.checks.result import CheckResult
from settings import load
from tests.support.fake_backend import TOKEN, FakeBackend


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    """Up, with the right token."""
    running = FakeBackend()
    yield running
    running.down()


def _check(backend: FakeBackend, token: str = TOKEN) -> CheckResult:
    return answers(load(env_file=None, backend_api_url=backend.address, service_token=token))


def test_a_backend_that_takes_the_token_passes(backend: FakeBackend) -> None:
    """One event of the contract's kinds, for a user of 1970, whom nobody is."""
    assert _check(backend).status == "ok"
    (event,) = backend.events
    assert event["eventType"] == "analytics:error"
    assert event["data"].keys() == {"errorType", "message", "context", "timestamp"}
    assert event["userId"].startswith("00000000")


def test_without_a_token_nothing_is_sent(backend: FakeBackend) -> None:
    """Events are off then, which is no fault."""
    assert _check(backend, token="").status == "skipped"
    assert backend.requests == []


def test_a_wrong_token_is_told_and_not_shown(backend: FakeBackend) -> None:
    """The remedy names the setting; the answer comes after one try."""
    result = _check(backend, token="hunter2")  # noqa: S106 - not a real one
    assert result.status == "failed"
    assert "SERVICE_TOKEN" in result.remedy
    assert "hunter2" not in str(result)
    assert len(backend.requests) == 1


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [(404, "failed", "not_found"), (500, "warning", "server_error"), (418, "warning", "unexpected")],
)
def test_what_the_backend_answers_instead_is_told(
    backend: FakeBackend, answer: int, status: str, reason: str
) -> None:
    """With what to do about it; only wrong settings fail, because events hold nothing up."""
    backend.broken = answer
    result = _check(backend)
    assert result.status == status
    assert reason in result.detail
    assert result.remedy


def test_a_backend_that_is_away_is_told(backend: FakeBackend) -> None:
    """A warning, after one try: the service computes and writes without it."""
    backend.down()
    result = _check(backend)
    assert result.status == "warning"
    assert "Start the backend" in result.remedy
