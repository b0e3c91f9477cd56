"""Tells receivers of lineage and traces of every batch, where the settings name any; else it does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from contracts import BatchReport
from contracts.secret_rules import headers_of
from monitoring.metrics import Metrics
from monitoring.receivers.outbox import CLOSE_SECONDS, Outbox, Receiver
from monitoring.receivers.receiver_metrics import ReceiverMetrics
from pipelines.engine.pipeline import Pipeline
from settings import Settings


class Receivers:
    """Everybody who is told of the batches of one pipeline; none of them holds a batch up."""

    def __init__(self, receivers: Sequence[Receiver], metrics: Metrics) -> None:
        # Also of nobody: an alert asks for it.
        measured = ReceiverMetrics(metrics, tuple(one.label for one in receivers))
        self._outboxes = [Outbox(one, partial(measured.count, one.label)) for one in receivers]

    def start(self) -> None:
        """Begin to send metrics, also before the first batch."""
        for outbox in self._outboxes:
            outbox.start()

    def tell(self, report: BatchReport) -> None:
        """Tell of a batch; never waits and never raises."""
        counted = _counts_of(report)
        for outbox in self._outboxes:
            outbox.put(counted)

    def close(self) -> bool:
        """Send what still waits, for a few seconds; returns whether anybody was to be told at all."""
        for outbox in self._outboxes:
            # A run without any batch has metrics too.
            outbox.start()
            outbox.end()
        ends = time.monotonic() + CLOSE_SECONDS
        for outbox in self._outboxes:
            outbox.close(max(0.0, ends - time.monotonic()))
        return bool(self._outboxes)


def _counts_of(report: BatchReport) -> BatchReport:
    """Returns `report` without what records say: it may wait in memory, and is to go nowhere."""
    writes = replace(report.writes, failed=(), examples={})
    return replace(report, writes=writes, errors=(), noted={}, left_out_by_reason={}, lateness_seconds=())


def open_receivers(declared: Pipeline, settings: Settings, metrics: Metrics) -> Receivers:
    """Returns the receivers that the settings name.

    Raises ModuleNotFoundError when the packages of one are missing, which says how to install them.
    """
    found: list[Receiver] = []
    if settings.openlineage_url and declared.lineage:
        found.append(_lineage_events(declared, settings))
    if settings.otlp_endpoint:
        found.append(_traces(declared, settings, metrics))
    return Receivers(found, metrics)


def _lineage_events(declared: Pipeline, settings: Settings) -> Receiver:
    from monitoring.receivers.lineage_events import LineageEvents

    return LineageEvents(
        settings.openlineage_url,
        settings.openlineage_api_key.get_secret_value(),
        settings.openlineage_namespace,
        declared.name,
        declared.does,
        declared.lineage(settings) if declared.lineage else {},
        settings.openlineage_seconds,
    )


def _traces(declared: Pipeline, settings: Settings, metrics: Metrics) -> Receiver:
    from monitoring.receivers.traces import Traces

    headers = headers_of(settings.otlp_headers.get_secret_value())
    return Traces(settings.otlp_endpoint, headers, declared.name, metrics.families, settings.otlp_seconds)
