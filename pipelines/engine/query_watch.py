"""Looks after the running queries: progress, backlog in Kafka, and whether each is alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pyspark.sql.streaming.query import StreamingQuery

from contracts import ServiceError, UnavailableError
from monitoring.query_progress import StreamingMetrics, monitor_query_health
from monitoring.stream_flow import KafkaFlow, StreamFlow
from pipelines.engine.due import Due
from pipelines.engine.outage import Outage

# Kafka is asked for its end offsets no more often.
_BACKLOG_SECONDS = 10.0


class QueryWatch:
    """Looks at each query whenever the supervisor calls."""

    def __init__(
        self,
        flow: StreamFlow,
        waiting: Mapping[str, Callable[[], int]] = MappingProxyType({}),
    ) -> None:
        """`waiting` gives, by stream, how many records are in Kafka and not processed."""
        self._backlogs = waiting
        self._metrics = {name: StreamingMetrics(name) for name in flow.streams}
        self._alive = dict.fromkeys(flow.streams, False)
        self._due = {name: Due(_BACKLOG_SECONDS) for name in waiting}
        self._flow = flow
        # Spark itself says nothing for minutes. One cluster has all topics.
        self._outage = Outage("Kafka")

    def look(self, stream: str, query: StreamingQuery) -> None:
        """The query runs: note its progress, and now and then its backlog."""
        self._alive[stream] = True
        self._flow.up(stream, True)
        monitor_query_health(query, self._metrics[stream], self._backlog(stream))

    def waiting(self, stream: str) -> int:
        """How many records wait now. Raises what the source raises."""
        return self._backlogs[stream]()

    def dead(self, stream: str) -> None:
        """The query died, or could not be started."""
        self._alive[stream] = False
        self._flow.up(stream, False)

    def pings(self) -> dict[str, Callable[[], None]]:
        """For the health endpoints: each raises while its query is dead."""
        return {f"the query of {name}": self._ping(name) for name in self._alive}

    def _ping(self, stream: str) -> Callable[[], None]:
        def ping() -> None:
            if not self._alive[stream]:
                raise ServiceError(f"the query of {stream} does not run")

        return ping

    def _backlog(self, stream: str) -> int | None:
        if stream not in self._due or not self._due[stream]():
            return None
        try:
            waiting = self.waiting(stream)
        except UnavailableError as error:
            self._outage.away(error)
            return None
        self._outage.back()
        if isinstance(self._flow, KafkaFlow):
            self._flow.waiting(stream, waiting)
        return waiting
