"""The rows of `check` for receivers of lineage and traces, against one that decodes both protocols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands.checks import receivers as module
from commands.checks.receivers import run
from commands.checks.result import CheckResult
from settings import load
from tests.support.receiver import FakeReceiver, receiving

KEY = "hunter2-of-receivers"


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """One that answers."""
    with receiving() as made:
        yield made
        # The question about lineage is no event.
        made.violations = [one for one in made.violations if not one.endswith("b'{}'")]


def _check(address: str, **more: Any) -> dict[str, CheckResult]:
    given = {"openlineage_api_key": KEY, "otlp_headers": f"x-api-key={KEY}", **more}
    settings = load(env_file=None, openlineage_url=address, otlp_endpoint=address, **given)
    return {result.name: result for result in run(settings)}


def test_receivers_that_are_not_set_have_no_rows() -> None:
    """They are off by default."""
    assert list(run(load(env_file=None))) == []


def test_receivers_that_answer_pass_and_are_told_nothing(receiver: FakeReceiver) -> None:
    """With the key and the headers of a run."""
    assert [result.status for result in _check(receiver.address).values()] == ["ok", "ok"]
    assert [receiver.events, receiver.spans] == [[], []]
    assert receiver.headers[0]["authorization"] == f"Bearer {KEY}"
    assert [headers["x-api-key"] for headers in receiver.headers[1:]] == [KEY, KEY]


@pytest.mark.parametrize(
    ("answer", "status", "remedies"),
    [
        (401, "failed", ("OPENLINEAGE_API_KEY", "OTLP_HEADERS")),
        (403, "failed", ("OPENLINEAGE_API_KEY", "OTLP_HEADERS")),
        (404, "failed", ("api/v1/lineage", "v1/traces")),
        (302, "warning", ("OPENLINEAGE_URL", "OTLP_ENDPOINT")),
        (503, "warning", ("OPENLINEAGE_URL", "OTLP_ENDPOINT")),
    ],
    ids=str,
)
def test_what_a_receiver_answers_instead_is_told(
    receiver: FakeReceiver, answer: int, status: str, remedies: tuple[str, str]
) -> None:
    """Only wrong settings fail, because batches go on without it; no secret is shown."""
    receiver.broken = answer
    found = _check(receiver.address.replace("://", f"://app:{KEY}@"))
    for result, remedy in zip(found.values(), remedies, strict=True):
        assert result.status == status
        assert remedy in result.remedy
    assert KEY not in str(found)


def test_receivers_that_are_away_are_told() -> None:
    """A warning: no batch waits for them."""
    with receiving() as gone:
        address = gone.address
    for result in _check(address).values():
        assert (result.status, "ConnectionError" in result.detail) == ("warning", True)


def test_a_package_that_is_missing_is_told_with_what_installs_it(
    receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start would end with the same."""
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    found = _check(receiver.address)
    assert [result.status for result in found.values()] == ["failed", "failed"]
    assert found["OpenLineage"].remedy.endswith("openlineage-python.")
    assert found["OTLP"].remedy.endswith("opentelemetry-exporter-otlp-proto-http.")
