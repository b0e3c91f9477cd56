"""Code for Spark's executors: sent along with the work, so that they need the pinned packages alone."""

from __future__ import annotations

from types import ModuleType

from pyspark import cloudpickle


def ship_code(*modules: ModuleType) -> None:
    """Send the functions of `modules` themselves to executors, not their names.

    Otherwise an executor would have to import the modules, and would find them only where it starts in the
    checkout's folder. Modules that those import from this project have to be named too.
    """
    for module in modules:
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
