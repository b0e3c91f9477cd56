"""What `pulse explain` shows to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from analytics.health.comparison import Difference, causes, differences, verdict
from analytics.health.explanation import Explanation, Judged, part_of
from analytics.health.formulas import day_name, exact, formulas, short
from analytics.health.schemas import RANGES
from analytics.health.words import plural
from commands.terminal import table
from contracts.health_metrics import METRICS
from sources.health.inspection import STALE, WAITING
from told import told

if TYPE_CHECKING:
    from commands.explain_user import Explained

_RIGHT: Any = {"justify": "right"}
# Documents that do not count are listed up to here; --json has all.
_SHOWN = 30
_STANDINGS = {
    WAITING: "The newest change waits: the cursor is not there yet.",
    STALE: "The cursor is past a change that is not computed: a full pass computes it.",
}


def print_explanation(explained: Explained, screen: Console) -> None:
    """The verdict, each figure's formula, the days of the range, what did not count, and the correction."""
    explanation = explained.explanation
    metric = METRICS[explanation.metric]
    length = RANGES[explanation.time_range]
    span = "no value"
    if explanation.series:
        span = f"{day_name(explanation.last - length + 1)} to {day_name(explanation.last)}"
    screen.print(f"{metric.label} of user {explained.user}, {length} days: {span}")
    _print_verdict(explained, screen)
    rows = table("figure", Column("value", **_RIGHT), Column("how", overflow="fold"))
    for each in formulas(explanation):
        rows.add_row(each.figure, Text(each.value), Text(each.working))
    if rows.row_count:
        screen.print(rows, "")
    _print_days(explanation, screen)
    _print_left_out(explanation, screen)
    if explained.days:
        _print_correction(explained, screen)


def _print_verdict(explained: Explained, screen: Console) -> None:
    explanation = explained.explanation
    found = differences(explanation.stored, explanation.computed)
    if explanation.stored is not None:
        screen.print(Text(f"Stored by {written_by(explanation.stored)}"))
    if not found:
        screen.print(Text(verdict(explanation), "green"), "")
        return
    screen.print(Text(verdict(explanation), "yellow"))
    for cause in causes(explanation):
        screen.print(Text(f"→ {cause}"))
    if standing := _STANDINGS.get(explained.standing):
        screen.print(Text(f"→ {standing} {told('inspect')} tells more."))
    if explanation.stored is not None:
        _print_differences("stored", "now", found, screen)
    screen.print("")


def written_by(stored: Mapping[str, Any]) -> str:
    """The batch that wrote a result, and when its history was read."""
    metadata, at = stored.get("metadata"), stored.get("calculatedAt")
    known = metadata if isinstance(metadata, Mapping) else {}
    when = f"{at:%Y-%m-%d %H:%M:%S} UTC" if isinstance(at, datetime) else "an unknown time"
    spark = f", Spark {known['sparkVersion']}" if known.get("sparkVersion") else ""
    return f"{known.get('sparkJobId') or 'an unknown batch'}{spark}, from what was there at {when}."


def _print_differences(one: str, other: str, found: Iterable[Difference], screen: Console) -> None:
    rows = table("field", Column(one, **_RIGHT), Column(other, **_RIGHT))
    for each in found:
        rows.add_row(each.field, Text(shown_value(each.before)), Text(shown_value(each.after)))
    screen.print(rows)


def _print_days(explanation: Explanation, screen: Console) -> None:
    rows = table("day", Column("value", **_RIGHT), "written (UTC)", "")
    late = set(map(id, explanation.late))
    for one in explanation.documents:
        if one.value is not None and one.day is not None and part_of(explanation, one.day) == "the range":
            rows.add_row(day_name(one.day), short(one.value), _moment(one), "late" if id(one) in late else "")
    if not rows.row_count:
        return
    screen.print(f"Days that entered ({rows.row_count} of {RANGES[explanation.time_range]}):")
    screen.print(rows)
    looks = Counter(part_of(explanation, day) for day in explanation.series)
    looks.pop("the range", None)
    if looks:
        before = ", ".join(
            f"{count:,} for {use}" if use else f"{count:,} too old" for use, count in looks.items()
        )
        screen.print(f"Older values: {before}.")
    screen.print("")


def _print_left_out(explanation: Explanation, screen: Console) -> None:
    left_out = [one for one in explanation.documents if one.value is None]
    if not left_out:
        return
    screen.print(f"Left out: {len(left_out):,} of {plural(len(explanation.documents), 'document')}.")
    rows = table("day", "written (UTC)", "end", "why")
    for one in left_out[:_SHOWN]:
        day = "–" if one.day is None else day_name(one.day)
        rows.add_row(day, _moment(one), one.end.replace("_", " "), Text(one.reason))
    screen.print(rows)
    if len(left_out) > _SHOWN:
        screen.print(f"… and {len(left_out) - _SHOWN:,} more; --json has all.")
    screen.print("")


def _print_correction(explained: Explained, screen: Console) -> None:
    days = ", ".join(
        f"{day_name(day)} {'without a value' if value is None else f'with {exact(value)}'}"
        for day, value in explained.days.items()
    )
    found = explained.changes
    if not found:
        screen.print(f"{days}: nothing would change.")
        return
    screen.print(f"{days}:")
    _print_differences("now", "then", found, screen)


def shown_value(value: Any) -> str:
    """A figure of a result, whatever it is."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return exact(value)


def _moment(one: Judged) -> str:
    return f"{one.updated:%Y-%m-%d %H:%M:%S}" if one.updated else "–"
