"""`pulse top` shows what the health endpoints tell, and no answer can break it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from commands.top import Seen, ask, board, top
from contracts import ConfigurationError
from monitoring.probe_server import Answer, HealthServer

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
BODY: dict[str, Any] = {
    "pipeline": "stock", "status": "degraded", "reasons": ["MongoDB does not answer"],
    "records_processed": 12_345, "errors_count": 3, "dead_letters": 7,
    "last_batch": {"end_time": (NOW - timedelta(seconds=42)).isoformat(), "processing_time_ms": 1_250},
}  # fmt: skip


def _shown(seen: dict[str, Seen], width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(board(seen, NOW, width))
    return out.getvalue()


@contextmanager
def _served(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Iterator[int]:
    server = HealthServer("127.0.0.1", 0, {"/health/detailed": lambda: Answer(status, body)})
    server.start()
    try:
        yield server.port
    finally:
        server.close()


def test_a_line_tells_how_a_pipeline_does_and_below_why_it_is_not_well() -> None:
    """The rate is what came between two looks."""
    seen = {"127.0.0.1:5001": Seen(), "127.0.0.1:5002": Seen()}
    seen["127.0.0.1:5001"].look({**BODY, "records_processed": 12_245}, 100.0)
    seen["127.0.0.1:5001"].look(BODY, 110.0)
    text = _shown(seen)
    for part in ("stock", "degraded", "42 s ago", "1.2 s", "12,345", "10.0", "3", "7"):
        assert part in text
    assert "stock: MongoDB does not answer" in text
    assert "nobody answers at 127.0.0.1:5002" in text


def test_on_a_narrow_terminal_no_figure_is_cut() -> None:
    """80 columns are what many have."""
    seen = {"127.0.0.1:5001": Seen(), "127.0.0.1:5002": Seen()}
    for look in range(20):
        counted = {**BODY, "pipeline": "ecommerce", "records_processed": 1_000_000 + 20_000 * look}
        seen["127.0.0.1:5001"].look(counted, 2.0 * look)
    text = _shown(seen, 80)
    assert "…" not in text
    assert "ecommerce degraded" in " ".join(text.split())
    assert "10,000.0" in text


@given(st.lists(st.integers(0, 1_000), min_size=2))
def test_a_rate_is_never_negative_whatever_starts_anew(counts: list[int]) -> None:
    """A process that starts again counts from 0."""
    one = Seen()
    for number, count in enumerate(counts):
        one.look({**BODY, "records_processed": count}, float(number))
    rises = [after - before for before, after in pairwise(counts) if after >= before]
    assert [*one.rates] == [float(rise) for rise in rises][-20:]


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
def test_a_stalled_pipeline_answers_too(status: HTTPStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 503; and this machine is asked, whatever proxy is set."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with _served(json.dumps(BODY).encode(), status=status) as port:
        assert ask(f"127.0.0.1:{port}") == BODY


ODD = {
    "nothing": b"", "text": b"hello", "a list": b"[]", "no pipeline": b'{"status": "healthy"}',
    "deep": b"[" * 90_000, "bytes": b"\xff\xfe",
}  # fmt: skip


@pytest.mark.parametrize("body", ODD.values(), ids=list(ODD))
def test_what_is_not_ours_counts_as_nobody(body: bytes) -> None:
    """Another program may listen there."""
    with _served(body) as port:
        assert ask(f"127.0.0.1:{port}") is None
    assert ask(f"127.0.0.1:{port}") is None


_ANY = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=3)


@given(
    st.fixed_dictionaries({name: _ANY | st.just(value) for name, value in BODY.items() if name != "pipeline"})
)
def test_no_field_can_break_the_board(fields: dict[str, Any]) -> None:
    """Whatever an older or newer version says in it."""
    one = Seen()
    one.look({**fields, "pipeline": "stock"}, 1.0)
    assert "stock" in _shown({"a": one})


def test_in_a_pipe_it_looks_once(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON too; and where nobody answers, that is one line with what to do."""
    with _served(json.dumps(BODY).encode()) as port:
        top(port=[port], as_json=True)
        assert json.loads(capsys.readouterr().out)[f"127.0.0.1:{port}"]["records_processed"] == 12_345
        top(port=[port])
        assert "12,345" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match=r"No pipeline answers at .*HEALTH_PORT"):
        top(port=[port])
