"""From a pipeline's declaration to the page that is drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from contracts import ConfigurationError
from dashboard import navigation
from dashboard.background import Simulation
from dashboard.lookout import Lookout
from dashboard.page import Page, Room, is_set
from dashboard.setup import open_rooms
from pipelines.catalog import PIPELINES
from settings import load
from tests.support.rooms import judged, room
from tests.support.shown import show, texts
from tests.toy import TOY

_TOY_ROOM = room("Toy", judged(5, "7 numbers."))


def _demo(folder: Path) -> Room:
    def run(tell: Callable[[str], None], show_it: Callable[[], None]) -> None:
        tell(f"It begins in {folder.name}.")
        show_it()
        threading.Event().wait()

    return replace(_TOY_ROOM, simulation=Simulation(run))


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    """The catalog has a pipeline that declares a room, and that of a demo."""
    with patch.dict(PIPELINES, {TOY.name: replace(TOY, pages=lambda _: _TOY_ROOM, demo_pages=_demo)}):
        open_rooms.clear()
        yield
        open_rooms.clear()


@pytest.mark.parametrize("every", [30, None])
def test_a_page_stands_below_the_state_of_its_pipeline(every: int | None) -> None:
    """Whether it refreshes itself or not: the pill and the age first, and one first-level heading."""
    (page,) = room("Toy", judged(200, "7 numbers."), every=every).pages
    drawn = show(lambda lookout: navigation._draw(page, _TOY_ROOM, lookout), Lookout([_TOY_ROOM]))
    assert not drawn.exception
    assert [title.value for title in drawn.title] == ["Toy itself"]
    line = str(drawn.markdown[0].value).replace("\xa0", " ")
    assert line.startswith("**Toy** :green-badge[:material/check_circle: running] Newest data **5 s ago**")


def test_a_page_waits_for_its_simulation_and_then_shows_a_fault_of_it() -> None:
    """Instead of a page that says how to start a pipeline."""
    simulation = Simulation(lambda *_: None)
    waiting = replace(_TOY_ROOM, simulation=simulation)
    draw = lambda lookout: navigation._draw(waiting.pages[0], waiting, lookout)  # noqa: E731
    shown = show(draw, Lookout([waiting]))
    assert [title.value for title in shown.title] == ["Toy page"]
    assert "The simulation is starting. It waits for its turn" in texts(shown)
    simulation.fault = "PostgreSQL was *not* found."
    assert r"PostgreSQL was \*not\* found" in texts(show(draw, Lookout([waiting])))


def test_a_fifth_pipeline_is_at_home_by_its_declaration() -> None:
    """In a demo of all: its verdict, once its simulation, which has a folder of its own, has begun."""
    with patch.dict(PIPELINES, {TOY.name: PIPELINES[TOY.name]}, clear=True):
        lookout = open_rooms(True, None)
    (one,) = lookout.rooms
    assert one.simulation
    one.simulation.settle()
    assert one.simulation.says == f"It begins in {TOY.name}."
    page = show(navigation.run, lookout)
    assert "7 numbers." in texts(page)
    assert [link.proto.label for link in page.get("page_link")] == ["Toy page"]


def test_simulations_start_one_after_the_other() -> None:
    """The next one begins when there is something to see of the one before, or a fault."""
    began: list[str] = []
    shows: list[Callable[[], None]] = []
    turn = threading.Semaphore(0)

    def pages(name: str) -> Callable[[Path], Room]:
        def run(_tell: object, show_it: Callable[[], None]) -> None:
            began.append(name)
            shows.append(show_it)
            turn.release()
            if name == "b":
                raise ConfigurationError("There is no b.")
            threading.Event().wait()

        return lambda _: room(name, judged(5), simulation=Simulation(run))

    named = {name: replace(TOY, name=name, demo_pages=pages(name)) for name in "abc"}
    with patch.dict(PIPELINES, named, clear=True):
        lookout = open_rooms(True, None)
    turn.acquire()
    assert began == ["a"]
    shows[0]()
    turn.acquire()
    turn.acquire()
    assert began == ["a", "b", "c"]
    first, second, _ = (one.simulation for one in lookout.rooms)
    assert first
    assert second
    assert (first.is_shown, second.is_shown, second.fault) == (True, False, "There is no b.")


def test_a_demo_that_breaks_says_so_without_details() -> None:
    """They are in the console: an error may hold what nobody should read on a page."""

    def breaks(*_: object) -> None:
        raise KeyError("hunter2")

    simulation = Simulation(breaks)
    simulation.start()
    simulation.settle()
    assert simulation.fault == "The simulation failed (KeyError); the console says more."


def test_a_pipeline_without_a_demo_in_the_dashboard_is_told() -> None:
    """With the names of those that have one."""
    with pytest.raises(ConfigurationError, match="nothing has no demo in the dashboard; these have: health"):
        open_rooms(True, "nothing")


def test_a_demo_lists_the_pipelines_that_can_be_struck_or_say_why_not() -> None:
    """On one page of all of them, which refreshes itself; a pipeline that says nothing of it is left out."""
    said = {"a": "It has no server.", "b": None, "c": "Nor has this one."}

    def pages(name: str) -> Callable[[Path], Room]:
        return lambda _: replace(room(name, judged(5)), rig=said[name])

    named = {name: replace(TOY, name=name, demo_pages=pages(name)) for name in said}
    with patch.dict(PIPELINES, named, clear=True):
        (page,) = open_rooms(True, None).common
        alone = open_rooms(True, "b").common
    assert [one.title for one in page.data] == ["a", "c"]
    assert (page.title, page.address, page.every) == ("Break it yourself", "break-it", 2)
    assert alone == ()
    drawn = show(navigation._draw_common, page)
    assert not drawn.exception
    assert [info.value for info in drawn.info] == ["It has no server."]


def test_pages_have_addresses_of_their_own() -> None:
    """No two pages of all pipelines share one, and none is that of Home."""
    listed: list[Page] = []
    for one in PIPELINES.values():
        if one.pages:
            listed += one.pages(load(env_file=None, mongo_uri="mongomock://pages")).pages
    addresses = [page.address for page in listed]
    assert len(addresses) == len(set(addresses))
    assert all(addresses)


@pytest.mark.parametrize(("given", "expected"), [({}, False), ({"esports_output_path": "/data"}, True)])
def test_a_setting_that_is_the_default_sets_nothing_up(given: dict[str, str], expected: bool) -> None:
    """`.env` begins as a copy of `.env.example`, which has every default."""
    assert is_set(load(env_file=None, **given), ("esports_output_path", "kafka_topic_matches")) is expected


def test_an_installation_has_a_page_of_dead_letters_and_a_demo_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every pipeline, also one without a room."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPERATOR_PASSWORD", "correct horse")
    (page,) = open_rooms(False, None).common
    assert (page.title, page.address) == ("Dead letters", "letters")
    assert [queue.name for queue in page.data.queues] == list(PIPELINES)
    assert page.data.entrance.can_be("operator")
    assert open_rooms(True, TOY.name).common == ()
