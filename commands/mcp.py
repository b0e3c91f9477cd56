"""`pulse mcp`: lets a model ask about pipelines and results, by the Model Context Protocol."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec

from commands.common import prepare
from contracts import ConfigurationError
from pipelines.catalog import PIPELINES
from pipelines.engine.pipeline import later
from told import install

_serve = later("dashboard.asking.server:serve")


def mcp() -> None:
    """Answer a model's questions on standard input and output (Model Context Protocol); it only reads."""
    settings = prepare(sys.stderr)
    if find_spec("mcp") is None:
        raise ConfigurationError(f"mcp is not installed: {install('mcp')}")
    queues = [
        (one.name, one.title, one.prefixed, partial(one.open_desk, settings)) for one in PIPELINES.values()
    ]
    _serve(settings, queues)
