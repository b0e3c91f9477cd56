"""What the boards show of a pipeline, in rows. What each metric is, the registry says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deploy.grafana.queries import Query
from pipelines.engine.pipeline import Pipeline


class Panel(NamedTuple):
    """A panel of a board.

    `shows` is the name of a metric, which is then shown as its kind and labels say, or queries. `limits` are
    the numbers from which on it is orange, and red; without them those of the alerts. `text` may be empty for
    one metric: its own help is shown.
    """

    title: str
    shows: str | Sequence[Query]
    text: str = ""
    unit: str = ""
    kind: str = "timeseries"
    limits: tuple[float, ...] = ()
    width: int = 8


def _stat(title: str, expr: str, limits: tuple[float, ...], text: str, unit: str = "short") -> Panel:
    return Panel(title, [Query(expr, "")], text, unit, "stat", limits, 4)


def _state(one: Pipeline) -> Iterator[Panel]:
    ago = "A batch, or a look that found nothing new. More than three intervals: no progress is made."
    yield _stat("Since the last look", "max(time() - @last_poll_timestamp_seconds)", (180, 300), ago, "s")
    if one.topics:
        text = "In Kafka, and not processed yet."
        yield _stat("Records waiting", "sum(@backlog_records)", (10_000, 100_000), text)
    elif one.name == "health":
        text = "Changed documents that are not processed yet; counted while a backlog is worked off."
        yield _stat("Documents waiting", "sum(@backlog_documents)", (10_000, 100_000), text)
    else:
        text = "From an event's time to its insertion, the slowest of the last batch."
        yield _stat("Latency", "max(@event_latency_max_seconds)", (300, 3600), text, "s")
    if one.name == "health":
        text, expr = (
            "Found by the reconciliation, and not mended by it.",
            "sum(@reconciliation_drift_users)",
        )
        yield _stat("Users whose analytics do not fit", expr, (1, 100), text)
    else:
        expr = "count(@query_up == 0) or vector(0)"
        yield _stat("Queries that are dead", expr, (1, 1), "Each is started again and again.")
    expr, text = "sum(increase(@batches_failed_total[24h]))", "Each came or comes again; nothing is lost."
    yield _stat("Failed batches, 24 h", expr, (1, 20), text)
    text = "What could not be used or written, with its reason: the command dlq list."
    yield _stat("Dead letters", "sum(@dlq_letters)", (1, 100), text)
    expr = f'count(ALERTS{{alertname=~"{one.name.capitalize()}.+", alertstate="firing"}}) or vector(0)'
    yield _stat(
        "Alerts firing", expr, (1, 1), "What each means, and what to do, stands at the end of this board."
    )


def _batches() -> Iterator[Panel]:
    each = [
        Query(f"60 * sum(rate(@batches_{end}_total[$__rate_interval]))", end)
        for end in ("succeeded", "failed")
    ]
    yield Panel("Batches", each, "A minute; a look that finds nothing is no batch.")
    buckets = "sum by (le) (rate(@batch_duration_seconds_bucket[$__rate_interval]))"
    lines = [
        Query(f"histogram_quantile({part}, {buckets})", name)
        for name, part in (("half within", 0.5), ("95 % within", 0.95))
    ]
    lines.append(Query("max(@batch_interval_seconds)", "interval"))
    yield Panel(
        "Time of a batch", lines, "Above the interval batches follow each other without a pause.", "s"
    )
    steps = [Query("sum by (step) (rate(@batch_step_duration_seconds_sum[$__rate_interval]))", "{{step}}")]
    yield Panel("Time by step", steps, "Seconds of work in each second: near 1 the job is never idle.", "s")


def _records() -> Iterator[Panel]:
    ends = [Query("sum by (outcome) (rate(@records_by_outcome_total[$__rate_interval]))", "{{outcome}}")]
    yield Panel(
        "What becomes of them",
        ends,
        "Records a second by their end; the five add up to what came in.",
        width=12,
    )
    results = [
        Query(f"sum(rate(@records_{what}_total[$__rate_interval]))", what)
        for what in ("processed", "inserted", "updated", "skipped", "deleted")
    ]
    text = "A second. Records that came in; results, of which skipped are those whose stored one stays."
    yield Panel("Records and results", results, text, width=12)
    yield Panel("Refused by reason", "rejected_total", "Records, or fields of them, within five minutes.")
    yield Panel("Left out by reason", "left_out_total", "Within five minutes; nothing to mend.")
    yield Panel("Written, and odd", "noted_total", "Within five minutes: what a person should know of.")
    yield Panel("Dead letters that wait", "dlq_letters")
    yield Panel(
        "Age of the oldest dead letter", "dlq_oldest_letter_timestamp_seconds", "None: there is no letter."
    )
    yield Panel("Retries by reason", "retries_total", "Waits of the retry policy within five minutes.")


def _freshness() -> Iterator[Panel]:
    yield Panel("Lag", "poll_lag_seconds", "Without documents waiting it only says how quiet the source is.")
    yield Panel("Documents waiting, over time", "backlog_documents")
    late = [
        Query("max(@commit_lateness_max_seconds)", "latest"),
        Query("max(@poll_overlap_seconds)", "overlap"),
    ]
    yield Panel(
        "Late commits", late, "The latest of the last hour: beyond the overlap one would be missed.", "s"
    )
    yield Panel("Documents dated ahead", "ahead_documents")
    yield Panel(
        "How far ahead", "ahead_seconds", "A writer's clock is fast: its results are late by as much."
    )
    yield Panel("Users of the last batch", "batch_stale_users")


def _audit() -> Iterator[Panel]:
    yield Panel("Unseen documents", "unseen_documents", kind="bargauge", limits=(1,))
    yield Panel("Drift", "reconciliation_drift_users", kind="bargauge", limits=(1,))
    yield Panel(
        "Mended by the reconciliation",
        "reconciliation_healed_users_total",
        "Users whose analytics did not fit their documents: found, and computed again.",
    )
    yield Panel("Users", "reconciliation_users", kind="bargauge")
    ago = [Query("time() - @reconciliation_timestamp_seconds", "since the last one")]
    ago.append(Query("@reconciliation_interval_seconds", "interval"))
    yield Panel("Source and results compared", ago, "", "s")
    yield Panel("Missing indexes", "index_missing", limits=(1, 1))
    yield Panel("Documents of unknown sources", "unknown_source_total")


def _backend() -> Iterator[Panel]:
    yield Panel("Notices", "backend_events_total", "By outcome, within five minutes.")
    yield Panel("Users waiting for their notice", "backend_users_waiting")
    yield Panel("The backend is left alone", "backend_circuit_open", limits=(1, 1))
    yield Panel("Told once", "notices_total", "Tries by receiver and outcome, within five minutes.")
    yield Panel("Dead letters of notices", "notice_letters_total", limits=(0, 1))
    yield Panel("People for whom something new waits", "notice_people_waiting")
    yield Panel("A receiver is left alone", "notice_circuit_open", limits=(1, 1))


def _kafka() -> Iterator[Panel]:
    yield Panel("Records that wait", "backlog_records", width=12)
    lost = [Query("sum by (stream) (increase(@offsets_lost_total[1h]))", "{{stream}}")]
    yield Panel("Records that Kafka deleted unread", lost, "Within an hour; an upper bound.", width=12)


def _receivers() -> Iterator[Panel]:
    told = [
        Query(
            "sum by (receiver, outcome) (increase(@receiver_batches_total[1h]))", "{{receiver}} {{outcome}}"
        )
    ]
    text = "Within an hour, of OPENLINEAGE_URL and OTLP_ENDPOINT: told, or dropped and refused."
    yield Panel("Batches of which others were told", told, text, width=24)


def _spark(one: Pipeline) -> Iterator[Panel]:
    heap = [
        Query("@jvm_heap_used_bytes", "used {{instance}}"),
        Query("@jvm_heap_max_bytes", "may have {{instance}}"),
    ]
    yield Panel("Heap of the driver", heap, "Java's; an alert tells when nine tenths stay full.", "bytes")
    yield Panel("Garbage collection", "jvm_gc_seconds_total", "Part of the time that it takes.")
    yield Panel("Triggers", "query_trigger_duration_seconds")
    yield Panel(
        "Queries that ended", "query_terminated_total", "Within five minutes: stopped on purpose, or failed."
    )
    if one.name != "health":
        yield Panel("Queries that run", "query_up")
    job = "health-analytics" if one.name == "health" else one.name
    answers = [Query(f'up{{job="{job}"}}', "{{instance}}")]
    yield Panel("Answers Prometheus", answers, f"1, or 0; of the job {job} of Prometheus.")


def rows(one: Pipeline) -> Iterator[tuple[str, list[Panel]]]:
    """The rows of the board of `one`, from the top; the first has no title."""
    yield "", list(_state(one))
    yield "Batches", list(_batches())
    yield "Records", list(_records())
    if one.topics:
        yield "Kafka", list(_kafka())
    if one.name == "health":
        yield "Freshness", list(_freshness())
        yield "The data", list(_audit())
        yield "Backend", list(_backend())
    if one.name == "ecommerce":
        yield "Latency", [Panel("From an event's time to its insertion", "event_latency_seconds", width=24)]
    if one.name == "stock":
        yield "Totals", [Panel("Totals that a recount mended", "totals_mended_total", width=24)]
    yield "Lineage and traces", list(_receivers())
    yield "Spark", list(_spark(one))
