"""The metrics that each pipeline has, as its own code makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from tempfile import TemporaryDirectory
from unittest.mock import MagicMock

from monitoring.ecommerce.latency_metrics import EventLatency
from monitoring.health.backend_metrics import NoticeMetrics
from monitoring.health.index_metrics import IndexMetrics
from monitoring.health.poll_metrics import PollMetrics
from monitoring.health.reconciliation_metrics import ReconciliationMetrics
from monitoring.health.telling_metrics import TellingMetrics
from monitoring.jvm_metrics import JvmMetrics
from monitoring.metric_registry import Described
from monitoring.metrics import Metrics
from monitoring.query_metrics import QueryMetrics
from monitoring.receivers.receiver_metrics import ReceiverMetrics
from monitoring.stream_flow import KafkaFlow, StreamFlow
from pipelines.catalog import PIPELINES
from pipelines.health.upkeep.drift import DRIFT
from pipelines.stock.upkeep import totals_mended


def _of_health(metrics: Metrics) -> None:
    PollMetrics(metrics, 0)
    ReconciliationMetrics(metrics, 0, DRIFT)
    IndexMetrics(metrics)
    NoticeMetrics(metrics)
    TellingMetrics(metrics)


def _of_ecommerce(metrics: Metrics) -> None:
    StreamFlow(metrics, [])
    EventLatency(metrics, (1.0,))


def _of_esports(metrics: Metrics) -> None:
    KafkaFlow(metrics, [])


def _of_stock(metrics: Metrics) -> None:
    KafkaFlow(metrics, [])
    totals_mended(metrics)


# That these are all which a running pipeline serves is compared in tests/support/monitoring_stack.py.
_OWN: Mapping[str, Callable[[Metrics], None]] = {
    "health": _of_health,
    "ecommerce": _of_ecommerce,
    "esports": _of_esports,
    "stock": _of_stock,
}


@cache
def metrics_of(pipeline: str) -> Mapping[str, Described]:
    """Every metric of `pipeline` by its full name, in the order of its metrics file."""
    with TemporaryDirectory() as folder:
        metrics = Metrics(folder, pipeline if PIPELINES[pipeline].prefixed else "")
        QueryMetrics(metrics)
        # Of who is told of batches by OpenLineage or OTLP.
        ReceiverMetrics(metrics)
        # No JVM is needed for the names of what would be measured of it.
        JvmMetrics(metrics, MagicMock())
        _OWN[pipeline](metrics)
        return metrics.registry.described
