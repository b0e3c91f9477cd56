"""A pipeline's report: verdict, ends of the records, rules with masked examples, batches, settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from contracts import ENDS
from monitoring.console import counted, lasted
from monitoring.logs import redact
from monitoring.report.batch_days import BatchDays, read_days
from monitoring.report.chart import Axis, Point, line_chart
from monitoring.report.masked import shape
from monitoring.report.page import note, section, table, tiles, verdict, write_page
from pipelines.engine.pipeline import Pipeline
from sinks.dead_letters import DeadLetters, Letter
from sinks.stream_letters import records_of

_A_DEMO = timedelta(days=1)
_BUCKETS = 240
_LABELS = 5
# Of the letters, which may be many.
_LETTERS_READ = 2_000
_MEANING = {
    "written": "counts in what is stored",
    "duplicate": "was stored before",
    "superseded": "is older than what is known",
    "refused": "broke a rule, and is a dead letter",
    "left_out": "left out by a setting, with nothing to mend",
}


Row = tuple[str, str, str]


def write_report(
    path: Path,
    one: Pipeline,
    log_directory: Path,
    letters: DeadLetters,
    since: datetime,
    rows: Sequence[Row] | None = None,
) -> Path:
    """Write what the pipeline `one` did since then to the HTML file `path`, and return it.

    `rows` are settings with values that hold no secret, and where each comes from. Raises OSError.
    """
    now = datetime.now(timezone.utc)
    found = read_days(log_directory, one.name if one.prefixed else "", since)
    about = f"{since:%d %b %Y %H:%M} to {now:%d %b %Y %H:%M} UTC. {one.does}"
    made = f"Made {_minute(now)} UTC from the batch log in {log_directory.absolute()}."
    body = [*_sections(found, letters, now), *_settings(rows), note(made + _unread(found))]
    return write_page(path, f"{one.title}: report", about, body)


def demo_report(folder: Path, one: Pipeline, letters: DeadLetters) -> str:
    """Write the report of a demo, and return the line that tells where it is."""
    since = datetime.now(timezone.utc) - _A_DEMO
    path = write_report(folder / "report.html", one, folder / "logs", letters, since)
    return f"📊 Report: {path} (open it in a browser; it works offline)"


def _sections(found: BatchDays, letters: DeadLetters, now: datetime) -> Iterator[str]:
    waiting, oldest = letters.waiting()
    yield _verdict(found, waiting, now)
    if found.batches:
        yield tiles(
            {
                "batches": f"{found.batches:,}",
                "failed": f"{found.statuses['failed']:,}",
                "records": f"{found.ends.total():,}",
                "refused values": f"{found.refused.total():,}",
                "dead letters": f"{waiting:,}",
                "median batch": _duration(found.quantile(0.5)),
                "95th percentile": _duration(found.quantile(0.95)),
            }
        )
        yield section("What became of the records", _ends(found))
    if found.refused or waiting:
        examples = _examples(letters.each())
        old = f" The oldest dead letter is {lasted((now - oldest).total_seconds())} old." if oldest else ""
        told = "Examples show the shape of a value: 9 for a digit, x for a letter."
        yield section("Quality, by rule", _rules(found, examples) + note(told + old))
    if found.left_out:
        reasons = [(reason, f"{count:,}") for reason, count in found.left_out.most_common()]
        yield section("Left out", table(("why", "records"), reasons, ["records"]))
    if found.batches:
        yield section("How long batches took, in seconds", _durations(found))
        yield section("Where the time went", _steps(found))
    if found.failures:
        failed = [(_minute(end), batch, redact(why)) for end, batch, why in reversed(found.failures)]
        yield section("Failed batches, the newest first", table(("ended (UTC)", "batch", "why"), failed))


def _settings(rows: Sequence[Row] | None) -> Iterator[str]:
    if rows is not None:
        other = [row for row in rows if row[2] != "default"]
        what = table(("setting", "value", "from"), other) if other else note("All are the defaults.")
        yield section("Settings that are not the defaults", what)


def _unread(found: BatchDays) -> str:
    return f" {counted(found.unreadable, 'line')} of it could not be read." if found.unreadable else ""


def _verdict(found: BatchDays, waiting: int, now: datetime) -> str:
    if found.last is None:
        return verdict("No batch ended in this time: it did not run, or LOG_DIRECTORY is another one.", False)
    ago = lasted(max(0.0, (now - found.last).total_seconds()))
    failed = found.statuses["failed"]
    how = "failed" if found.last_status == "failed" else "was written"
    words = f"The last batch ended {ago} ago and {how}. "
    words += f"{counted(found.batches, 'batch', 'batches')}, {failed:,} failed; "
    words += f"{counted(waiting, 'dead letter')} {'waits' if waiting == 1 else 'wait'}."
    return verdict(words, found.last_status != "failed")


def _ends(found: BatchDays) -> str:
    total = found.ends.total()
    rows = [
        (end.replace("_", " "), f"{found.ends[end]:,}", _share(found.ends[end], total), _MEANING[end])
        for end in ENDS
    ]
    return table(("end", "records", "share", "what it means"), rows, ["records", "share"]) + note(
        f"They add up: {found.accounts()}."
    )


def _rules(found: BatchDays, examples: dict[str, str]) -> str:
    reasons = [*dict(found.refused.most_common()), *(name for name in examples if name not in found.refused)]
    rows = [(reason, f"{found.refused[reason]:,}", examples.get(reason, "")) for reason in reasons]
    return table(("rule", "refused", "an example"), rows, ["refused"])


def _examples(letters: Iterator[Letter]) -> dict[str, str]:
    """One example by reason, without what it says."""
    found: dict[str, str] = {}
    for letter, _ in zip(letters, range(_LETTERS_READ), strict=False):
        if letter.reason not in found:
            found[letter.reason] = _example(letter)
    return found


def _example(letter: Letter) -> str:
    records = records_of(letter.record, letter.reason)
    if records:
        raw = records[0].raw
        return "no value" if raw is None else shape(raw.decode("utf-8", "replace"))
    if not letter.field:
        return "the whole document"
    return f"{letter.field} is {shape(repr(letter.value))}"


def _durations(found: BatchDays) -> str:
    """The longest batch of each stretch of time: a slow one must not vanish in a mean."""
    first, last = found.times[0], found.times[-1]
    width = max(1.0, (last - first) / _BUCKETS)
    longest: dict[int, Point] = {}
    for moment, duration in zip(found.times, found.durations_ms, strict=True):
        bucket = int((moment - first) // width)
        if bucket not in longest or duration / 1000 > longest[bucket][1]:
            longest[bucket] = (moment, duration / 1000)
    line = [longest[bucket] for bucket in sorted(longest)]
    count = _LABELS if last > first else 1
    places = [first + (last - first) * part / max(1, count - 1) for part in range(count)]
    spans = ((600, "%H:%M:%S"), (86_400, "%H:%M"), (2 * 86_400, "%d %b %H:%M"))
    form = next((form for most, form in spans if last - first <= most), "%d %b")
    labels = [(place, f"{datetime.fromtimestamp(place, timezone.utc):{form}}") for place in places]
    # A stream that stood still is no line.
    axis = Axis(labels, gap=max(3 * width, 3_600.0))
    each = "" if len(line) == found.batches else f" Each point is the longest of {lasted(width)}."
    return line_chart("The duration of batches in seconds", line, axis) + note(f"Times are UTC.{each}")


def _steps(found: BatchDays) -> str:
    total = sum(found.steps_ms.values())
    rows = [
        (step, _duration(spent), _share(spent, total))
        for step, spent in found.steps_ms.most_common()
        if spent
    ]
    return table(("step", "in all", "share"), rows, ["in all", "share"])


def _share(part: float, total: float) -> str:
    return f"{part / total:.1%}" if total else "–"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else lasted(milliseconds / 1000)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
