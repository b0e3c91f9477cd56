"""The workload of each pipeline, with surroundings of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.ecommerce import EcommerceWorkload
from tests.chaos.esports import EsportsWorkload
from tests.chaos.health import HealthWorkload
from tests.chaos.servers import Surroundings, surroundings
from tests.chaos.stock import StockWorkload
from tests.chaos.workload import Workload

WORKLOADS: dict[str, Callable[[Surroundings, int], Workload]] = {
    one.name: one for one in (HealthWorkload, StockWorkload, EsportsWorkload, EcommerceWorkload)
}


@contextmanager
def opened(pipeline: str, folder: Path, seed: int) -> Iterator[Workload]:
    """That of `pipeline`, whose job works in `folder`. Raises RuntimeError where servers cannot be had."""
    with surroundings(folder) as around:
        yield WORKLOADS[pipeline](around, seed)
