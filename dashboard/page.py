"""What a page of the dashboard is, as a system's `pages` module lists it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page that `render` draws from `data`, again after each `every` seconds; None: by itself never."""

    title: str
    address: str
    render: Callable[[Any], None]
    data: Any
    every: int | None = 30
