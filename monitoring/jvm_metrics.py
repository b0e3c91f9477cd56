"""Metrics of the JVM that runs Spark's driver: heap, garbage collection, threads."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from monitoring.metrics import Metrics


class JvmMetrics:
    """Fills metrics of `metrics` from the JVM's management beans; a refresh takes about 3 ms."""

    def __init__(self, metrics: Metrics, spark: SparkSession) -> None:
        factory: Any = spark.sparkContext._jvm.java.lang.management.ManagementFactory  # type: ignore[union-attr]
        self._memory = factory.getMemoryMXBean()
        self._thread_bean = factory.getThreadMXBean()
        self._collectors = list(factory.getGarbageCollectorMXBeans())
        self._collected_ms = 0
        registry = metrics.registry
        self._used = registry.gauge("jvm_heap_used_bytes", "Heap of Spark's driver in use")
        self._max = registry.gauge("jvm_heap_max_bytes", "Heap that Spark's driver may have")
        self._threads = registry.gauge("jvm_threads", "Threads of the JVM of Spark's driver")
        text = "Time that garbage collection took in Spark's driver, in seconds"
        self._collecting = registry.counter("jvm_gc_seconds_total", text)
        metrics.add_probe(self.refresh)

    def refresh(self) -> None:
        """Take the present values. Raises py4j's errors when the JVM is gone."""
        heap = self._memory.getHeapMemoryUsage()
        self._used.set(heap.getUsed())
        self._max.set(heap.getMax())
        self._threads.set(self._thread_bean.getThreadCount())
        collected = sum(collector.getCollectionTime() for collector in self._collectors)
        self._collecting.inc(max(0, collected - self._collected_ms) / 1000)
        self._collected_ms = collected
