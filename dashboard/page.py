"""What a page of the dashboard is, and a pipeline's room of them, as its `pages` module declares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from contracts.striking import Look
from dashboard.background import Simulation
from dashboard.data.condition import Signs
from dashboard.data.service_files import ServiceFiles


@dataclass(frozen=True)
class Page:
    """A page that `render` draws from `data`, again after each `every` seconds; None: by itself never.

    `note` is Markdown above it, for what is so in a demo alone. A page of all pipelines has an `icon`.
    """

    title: str
    address: str
    render: Callable[[Any], None]
    data: Any
    every: int | None = 30
    note: str = ""
    icon: str | None = None


class Rig(Protocol):
    """What a demo is struck with (`pipelines.engine.demo_rig`); `strikes` by what the button says."""

    @property
    def strikes(self) -> Mapping[str, Callable[[], None]]:
        """What can be done to it."""
        ...

    def look(self) -> Look:
        """How it is now."""
        ...

    def begin(self) -> None:
        """Let the pipeline go on as a process of its own."""
        ...

    def pause(self, is_paused: bool) -> None:
        """Stop the sender, or let it go on."""
        ...


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
    the time. `is_set`: one of its own settings is not the default. `simulation` runs it in a demo;
    `rig` is what that is struck with, or says why it cannot be struck, in Markdown.
    """

    title: str
    icon: str
    mark: str
    pages: Sequence[Page]
    files: ServiceFiles
    verdict: Callable[[Signs, datetime], Verdict]
    is_set: bool = True
    simulation: Simulation | None = None
    rig: Rig | str | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to ask: no simulation that starts, or has failed."""
        return self.simulation is None or self.simulation.is_shown


def is_set(settings: BaseModel, names: Iterable[str]) -> bool:
    """Whether one of the settings `names` is not the default, which `.env.example` has."""
    fields = type(settings).model_fields
    return any(getattr(settings, name) != fields[name].default for name in names)
