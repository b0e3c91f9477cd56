"""Invented esports messages, into files or Kafka: `python -m simulation.esports.messages --help`.

The season's clock runs `--speed` times as fast as the real one. It begins a day back and never passes the
present, so that no time lies in the future.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, get_args

import typer

from contracts import ConfigurationError, StoppedError
from settings import load
from simulation.esports.season import Season, Topic
from simulation.json_files import next_offset, write_files
from simulation.kafka_sender import Send, kafka_sender
from simulation.program import Message, run_program, stepping_clock, stop_on_signals

SPEED = 60.0
MATCHES = 8
_OUTPUT = Path("data/esports-feed")


def main(
    output: Annotated[
        Path | None, typer.Option(help=f"The folder for files, one folder a topic; else {_OUTPUT}.")
    ] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Produce to KAFKA_BOOTSTRAP_SERVERS and the job's topics instead.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0, help="Seconds between two updates.")] = 1.0,
    speed: Annotated[
        float, typer.Option(min=0.1, help="Seconds that go by in the season for one of --interval.")
    ] = SPEED,
    ticks: Annotated[int | None, typer.Option(min=1, help="How many updates, then end.")] = None,
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Share of messages without use.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="For the same teams, players and draws again.")] = None,
    start: Annotated[
        datetime | None, typer.Option(help="Begin at that time (UTC): with a seed, the same messages.")
    ] = None,
) -> None:
    """Tell of invented matches and players until Ctrl+C or SIGTERM; the update under way is finished."""
    if kafka and output:
        raise ConfigurationError("--kafka writes no files: leave out --output.")
    stop, counts, output = stop_on_signals(), Counter[str](), output or _OUTPUT
    # Without a pause an update still is one of a second.
    clock = season_clock(timedelta(seconds=(interval or 1.0) * speed), start)
    season = Season(seed, MATCHES, clock(), malformed)
    with _kafka_of_settings() if kafka else nullcontext(_file_sender(output)) as send:
        typer.echo(f"Telling {'Kafka' if kafka else output} of {MATCHES} matches at a time; Ctrl+C ends it.")
        while not counts["updates"] or not (counts["updates"] == ticks or stop.wait(interval)):
            now = clock()
            messages = list(season.advance(now))
            send(messages, now)
            counts.update(["updates", *(message.topic for message in messages)])
    typer.echo(f"{counts['matches']} match and {counts['players']} player messages written.")
    if ticks and counts["updates"] < ticks:
        raise StoppedError("Stopped before the last of --ticks.")


def _kafka_of_settings() -> AbstractContextManager[Send]:
    settings = load()
    topics = {"matches": settings.kafka_topic_matches, "players": settings.kafka_topic_players}
    return kafka_sender(settings.kafka_bootstrap_servers, topics)


def _file_sender(folder: Path) -> Callable[[Iterable[Message], datetime], None]:
    """Send into files below `folder`, which go on where those that are there end."""
    offsets: dict[str, int] = {topic: next_offset(folder / topic) for topic in get_args(Topic)}

    def send(messages: Iterable[Message], now: datetime) -> None:
        write_files(folder, offsets, messages, now)

    return send


def season_clock(step: timedelta, start: datetime | None = None) -> Callable[[], datetime]:
    """A clock that goes on by `step` each time it is read; without `start` it never passes the present."""
    if start:
        return stepping_clock(start, step)
    clock = stepping_clock(datetime.now(timezone.utc) - timedelta(days=1), step)
    return lambda: min(clock(), datetime.now(timezone.utc))


if __name__ == "__main__":
    run_program(main)
