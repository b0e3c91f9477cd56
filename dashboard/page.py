"""What a page of the dashboard is, and a pipeline's room of them, as its `pages` module declares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from dashboard.background import Simulation
from dashboard.data.condition import Signs
from dashboard.data.service_files import ServiceFiles


@dataclass(frozen=True)
class Page:
    """A page that `render` draws from `data`, again after each `every` seconds; None: by itself never.

    `note` is Markdown above it, for what is so in a demo alone.
    """

    title: str
    address: str
    render: Callable[[Any], None]
    data: Any
    every: int | None = 30
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """How a pipeline is doing: `sentence` for people, in Markdown, and the `signs` that it rests on.

    `has_data` tells that there are results; one without them and without settings of its own is not shown.
    """

    sentence: str
    signs: Signs
    has_data: bool = True


@dataclass(frozen=True)
class Room:
    """The pages of one pipeline, called `title`, and what the home page asks of it.

    `icon` is one of Streamlit's Material icons, which come with it; `mark` a sign for the browser's tab.
    `verdict` is what its results say, read within some seconds at most, given the signs in its `files` and
    the time. `is_set`: one of its own settings is not the default. `simulation` runs it in a demo.
    """

    title: str
    icon: str
    mark: str
    pages: Sequence[Page]
    files: ServiceFiles
    verdict: Callable[[Signs, datetime], Verdict]
    is_set: bool = True
    simulation: Simulation | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to ask: no simulation that starts, or has failed."""
        return self.simulation is None or self.simulation.is_shown


def is_set(settings: BaseModel, names: Iterable[str]) -> bool:
    """Whether one of the settings `names` is not the default, which `.env.example` has."""
    fields = type(settings).model_fields
    return any(getattr(settings, name) != fields[name].default for name in names)
