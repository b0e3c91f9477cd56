"""`pulse top`: a live board of the pipelines that run here, from their health endpoints."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any
from urllib.request import ProxyHandler, build_opener

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column
from rich.text import Text

from commands.common import AsJson, prepare
from commands.terminal import console, print_json, sparkline, table
from contracts import ConfigurationError
from contracts.iso_times import read_time
from monitoring.console import lasted, one_line
from settings import Settings
from told import told

_PATIENCE_SECONDS = 2.0
_MOST_BYTES = 200_000
_LOOKS_KEPT, _WIDE = 20, 110
# JSON of others may hold more, and Python's also Infinity and NaN.
_ENDLESS = 1e15
_PORTS = 4
_STATES = {"healthy": "green", "degraded": "yellow", "stalled": "red"}
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where to ask one that listens everywhere
_COLUMNS = ("pipeline", "state", "last", "took")
_NUMBERS = ("records", "per second", "errors", "letters")

Answer = Mapping[str, Any]


@dataclass
class Seen:
    """What one address answered at the newest looks: `rates` are records a second between two of them."""

    answer: Answer | None = None
    counted: tuple[float, float] | None = None
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_LOOKS_KEPT))

    def look(self, answer: Answer | None, now: float) -> None:
        """Note what was answered at the monotonic time `now`; a process that is new begins anew."""
        records = _number(answer, "records_processed")
        if self.counted and now > self.counted[1] and records >= self.counted[0]:
            self.rates.append((records - self.counted[0]) / (now - self.counted[1]))
        self.answer, self.counted = answer, None if answer is None else (records, now)


def top(
    port: Annotated[
        list[int] | None,
        typer.Option("--port", min=1, max=65_535, help="Where one listens; may be given again and again."),
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Watch the pipelines that run on this machine; Ctrl+C ends it. In a pipe it looks once.

    Without --port it asks HEALTH_PORT and the next three.
    """
    settings = prepare()
    host = _ANY_HOST.get(settings.health_host, settings.health_host)
    first = settings.health_port or Settings.model_fields["health_port"].default
    ports = list(dict.fromkeys(port or range(first, min(first + _PORTS, 65_536))))
    seen = {f"{host}:{number}": Seen() for number in ports}
    screen = console()
    with ThreadPoolExecutor(len(seen)) as pool:
        if as_json or not screen.is_terminal:
            _look(seen, pool.map)
            _once(seen, as_json, screen)
            return
        with suppress(KeyboardInterrupt), Live(console=screen, screen=True, auto_refresh=False) as live:
            while True:
                _look(seen, pool.map)
                live.update(board(seen, datetime.now(timezone.utc), screen.width), refresh=True)
                time.sleep(every)


def _look(seen: Mapping[str, Seen], each: Callable[..., Iterator[Answer | None]]) -> None:
    for one, answer in zip(seen.values(), each(ask, seen), strict=True):
        one.look(answer, time.monotonic())


def _once(seen: Mapping[str, Seen], as_json: bool, screen: Console) -> None:
    answers = {address: one.answer for address, one in seen.items() if one.answer is not None}
    if as_json:
        print_json(answers)
    elif answers:
        screen.print(board(seen, datetime.now(timezone.utc), screen.width))
    if not answers and not as_json:
        raise ConfigurationError(_nobody(seen))


def ask(address: str) -> Answer | None:
    """What the pipeline at `address` tells of itself; None where none answers as ours do."""
    # Whatever proxy is set, this machine is asked.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/health/detailed", timeout=_PATIENCE_SECONDS) as reply:
            return _answer(reply.read(_MOST_BYTES))
    except OSError as error:
        # 503, which a stalled one answers, has a body too.
        reads = getattr(error, "read", None)
        return _answer(reads(_MOST_BYTES)) if reads else None
    except ValueError:
        return None


def _answer(body: bytes) -> Answer | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("pipeline"), str) else None


def board(seen: Mapping[str, Seen], now: datetime, width: int) -> RenderableType:
    """The table of those that answer, why some are not healthy, and who is silent."""
    rows = table(
        *(Column(name, no_wrap=True) for name in _COLUMNS),
        *(Column(name, justify="right", no_wrap=True) for name in _NUMBERS),
        *([Column("lately", no_wrap=True)] if width >= _WIDE else []),
    )
    reasons: list[Text] = []
    for one in seen.values():
        if one.answer is not None:
            rows.add_row(*_row(one.answer, one, now)[: len(rows.columns)])
            reasons += _reasons(one.answer)
    if not rows.row_count:
        return Text(_nobody(seen))
    silent = [address for address, one in seen.items() if one.answer is None]
    foot = f"{now:%H:%M:%S} UTC" + (f" · nobody answers at {', '.join(silent)}" if silent else "")
    return Group(rows, *reasons, Text(), Text(foot, "dim"))


def _row(answer: Answer, one: Seen, now: datetime) -> Sequence[Text | str]:
    state, batch = one_line(str(answer.get("status", "")), 20), answer.get("last_batch")
    known: Answer = batch if isinstance(batch, dict) else {}
    rate = one.rates[-1] if one.rates else None
    return (
        one_line(answer["pipeline"], 20),
        Text(state, _STATES.get(state, "red")),
        _ago(known.get("end_time"), now),
        f"{_number(known, 'processing_time_ms') / 1000:,.1f} s" if known else "–",
        f"{_number(answer, 'records_processed'):,.0f}",
        "–" if rate is None else f"{rate:,.1f}",
        f"{_number(answer, 'errors_count'):,.0f}",
        f"{_number(answer, 'dead_letters'):,.0f}",
        sparkline([*one.rates]),
    )


def _reasons(answer: Answer) -> list[Text]:
    found = answer.get("reasons")
    name, color = one_line(answer["pipeline"], 20), _STATES.get(str(answer.get("status")), "red")
    return [
        Text(f"{name}: {one_line(str(why), 200)}", color)
        for why in (found if isinstance(found, list) else [])
    ]


def _ago(end: object, now: datetime) -> str:
    try:
        moment = read_time(str(end))
        return f"{lasted(max(0.0, (now - moment).total_seconds()))} ago"
    except (ValueError, TypeError):
        return "–"


def _number(answer: Answer | None, name: str) -> float:
    found = answer.get(name) if answer else None
    return float(found) if isinstance(found, int | float) and abs(found) < _ENDLESS else 0.0


def _nobody(seen: Mapping[str, Seen]) -> str:
    return (
        f"No pipeline answers at {', '.join(seen)}. Start one with `{told('run')}`, or name where it listens "
        "with --port; each needs a HEALTH_PORT of its own, other than 0."
    )
