"""Draws one page in Streamlit's AppTest, on data that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.errors import ServerSelectionTimeoutError
from streamlit.testing.v1 import AppTest

PageData = TypeVar("PageData")

HOSTILE = "<img src=x onerror=alert(1)> ![](http://evil.example/p.png) [x](javascript:y) =1+1 :red[z]"

# AppTest runs a script in a namespace of its own, in this process: it finds its page here.
_current: list[Callable[[], None]] = []


def draw() -> None:
    """What the script calls."""
    _current[0]()


def show(render: Callable[[PageData], None], data: PageData, **query: str) -> AppTest:
    """The page at an address with `query`, after its first run; interact with it and `run()` it again."""
    _current[:] = [lambda: render(data)]
    page = AppTest.from_string("from tests.support import shown\nshown.draw()", default_timeout=300)
    page.query_params.update(query)
    return page.run()


class Switch:
    """A collection whose server can be switched off."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.off = False

    def __getattr__(self, name: str) -> Any:
        if self.off:
            raise ServerSelectionTimeoutError("mongodb://someone:hunter2@db:27017 is away")
        return getattr(self._collection, name)


def texts(page: AppTest) -> str:
    """All text of the page, for looking something up."""
    kinds = ("title", "header", "markdown", "error", "info", "caption")
    return "\n".join(str(getattr(element, "value", "")) for kind in kinds for element in page.get(kind))


def figures(page: AppTest) -> dict[str, str]:
    """The page's tiles, without the marks that keep Markdown from them."""
    return {metric.label: metric.value.replace("\\", "") for metric in page.metric}


def charts(page: AppTest) -> list[str]:
    """What a screen reader is told of each chart."""
    return [element.proto.alt for element in page.get("vega_lite_chart")]
