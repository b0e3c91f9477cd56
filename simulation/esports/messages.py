"""Invented esports messages, into files or Kafka: `python -m simulation.esports.messages --help`.

The season's clock runs `--speed` times as fast as the real one. It begins a day back and never passes the
present, so that no time lies in the future.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from contracts import ServiceError
from settings import load
from simulation.esports.season import Message, Season, Topic
from simulation.kafka_sender import kafka_sender
from sources.esports.json_files import next_offset

SPEED = 60.0
SERIES = 8

Send = Callable[[Iterable[Message], datetime], None]


def write_files(
    folder: Path, offsets: MutableMapping[str, int], messages: Iterable[Message], now: datetime
) -> list[Path]:
    """Write `matches/matches_YYYYMMDD_HHMMSS_OFFSET.jsonl` and the same for players; readers see whole files.

    OFFSET is the number of the first message within its topic, from `offsets`, which goes on by it. Each file
    is written under a name that begins with a dot and renamed; a topic without messages gets none.
    """
    by_topic: dict[Topic, list[bytes]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message.value + b"\n")
    paths = []
    for topic, lines in by_topic.items():
        stem = f"{topic}_{now.astimezone(timezone.utc):%Y%m%d_%H%M%S}_{offsets[topic]:012d}"
        offsets[topic] += len(lines)
        path = folder / topic / f"{stem}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}")
        hidden.write_bytes(b"".join(lines))
        paths.append(hidden.replace(path))
    return paths


def simulate(
    season: Season, send: Send, clock: Callable[[], datetime], wait: Callable[[], bool], ticks: int | None
) -> Counter[str]:
    """Give the season's messages to `send` until `wait`, called between two ticks, says to stop; counts."""
    counts: Counter[str] = Counter()
    done = 0
    while True:
        now = clock()
        messages = list(season.advance(now))
        send(messages, now)
        counts.update(message.topic for message in messages)
        done += 1
        if done == ticks or wait():
            return counts


def main(
    output: Annotated[Path, typer.Option(help="The folder for files, one folder a topic.")] = Path(
        "data/esports-feed"
    ),
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Produce to KAFKA_BOOTSTRAP_SERVERS and the job's topics instead.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0, help="Seconds between two updates.")] = 1.0,
    speed: Annotated[
        float, typer.Option(min=0.1, help="Seconds that go by in the season for one of --interval.")
    ] = SPEED,
    ticks: Annotated[int | None, typer.Option(min=1, help="How many updates to send.")] = None,
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Share of messages without use.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="For the same teams, players and draws again.")] = None,
    start: Annotated[
        datetime | None, typer.Option(help="Begin at that time (UTC): with a seed, the same messages.")
    ] = None,
) -> None:
    """Send invented matches and players until Ctrl+C or SIGTERM; the update under way is finished."""
    stop = threading.Event()

    def end(_number: int, _frame: Any) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    # Without a pause an update still is one of a second.
    clock = season_clock(timedelta(seconds=(interval or 1.0) * speed), start)
    season = Season(seed, SERIES, clock(), malformed)
    try:
        with _kafka_of_settings() if kafka else nullcontext(file_sender(output)) as send:
            typer.echo(f"Telling of {SERIES} series to {'Kafka' if kafka else output}; Ctrl+C ends it.")
            counts = simulate(season, send, clock, lambda: stop.wait(interval), ticks)
    except ServiceError as error:
        typer.echo(f"❌ {error}", err=True)
        sys.exit(2)
    typer.echo(f"{counts['matches']} match and {counts['players']} player messages written.")


def _kafka_of_settings() -> AbstractContextManager[Send]:
    settings = load()
    topics: dict[Topic, str] = {
        "matches": settings.kafka_topic_matches,
        "players": settings.kafka_topic_players,
    }
    return kafka_sender(settings.kafka_bootstrap_servers, topics)


def file_sender(folder: Path) -> Send:
    """Send into files below `folder`, which go on where those that are there end."""
    offsets = {topic: next_offset(folder / topic) for topic in get_args(Topic)}

    def send(messages: Iterable[Message], now: datetime) -> None:
        write_files(folder, offsets, messages, now)

    return send


def season_clock(step: timedelta, start: datetime | None = None) -> Callable[[], datetime]:
    """A clock that goes on by `step` each time it is read; without `start` it never passes the present."""
    moment = start.replace(tzinfo=timezone.utc) if start else datetime.now(timezone.utc) - timedelta(days=1)
    moment -= step

    def read() -> datetime:
        nonlocal moment
        moment += step
        if start is None:
            moment = min(moment, datetime.now(timezone.utc))
        return moment

    return read


if __name__ == "__main__":
    typer.run(main)
