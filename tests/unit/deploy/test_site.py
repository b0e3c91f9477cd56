"""The documentation's site: links lead somewhere, it shows what GitHub does, it asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt

from commands import pulse
from deploy.grafana.registry import metrics_of
from deploy.site.links import HOME, links_within
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from settings import Settings
from tests.support.documents import ROOT
from tests.support.missing import missing

_MERMAID = ROOT / ".cache" / "mermaid" / "mermaid.min.js"
_PAGES = {
    **{ROOT / path: page.removesuffix(".md") for page, path in HOME.items()},
    **{path: path.stem for path in (ROOT / "docs").glob("*.md")},
    ROOT / "docs" / "README.md": "index",
}
_SHOWN = ("h2", "h3", "ul", "ol", "li", "tr", "pre", "strong", "blockquote", "img")


def mkdocs() -> None:
    """Skip what needs MkDocs where it is missing."""
    if find_spec("mkdocs") is None:
        missing("MkDocs is missing: script/setup --dev installs it")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every link and anchor is looked at while it is built."""
    mkdocs()
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def _counts(html: str) -> dict[str, int]:
    return {tag: len(re.findall(rf"<{tag}[ >]", html)) for tag in _SHOWN}


def test_a_page_has_the_parts_that_github_shows(site: Path) -> None:
    """Python's Markdown reads lists and fences in another way: what it makes of them is the same."""
    wrong = {}
    for source, page in _PAGES.items():
        github = MarkdownIt("gfm-like", {"linkify": False}).render(source.read_text(encoding="utf-8"))
        html = (site / f"{page}.html").read_text(encoding="utf-8")
        ours = html[html.index("<article") : html.index("</article>")]
        # Without Mermaid a diagram is code, as it is on GitHub; with it the same tag.
        if _counts(github) != _counts(ours):
            wrong[source.name] = (_counts(github), _counts(ours))
    assert wrong == {}


def test_nothing_is_asked_of_another_server(site: Path) -> None:
    """No fonts, scripts, pictures or styles; the theme itself would fetch Mermaid for a diagram."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    outside = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=["']?(?:https?:)?//""")
    assert [path.name for path, html in pages.items() if outside.search(html)] == []
    has_diagrams = any('class="mermaid"' in html for html in pages.values())
    assert has_diagrams == _MERMAID.is_file() == (site / "assets" / "mermaid.min.js").is_file()
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"url\(['\"]?(https?:)?//|@import", style) for style in styles)


def test_the_reference_has_every_setting_metric_and_command(site: Path) -> None:
    """It is made of the program, so none can be forgotten; a column that is empty would be."""
    settings, metrics, commands = (
        (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
        for page in ("settings", "metrics", "commands")
    )
    assert {
        name for name in Settings.model_fields if f"<td><code>{name.upper()}</code></td>" not in settings
    } == set()
    assert "<td></td>\n</tr>" not in settings + metrics
    names = {name for pipeline in PIPELINES for name in metrics_of(pipeline)}
    assert {name for name in names if f"<td><code>{name}</code></td>" not in metrics} == set()
    told = {"./pulse"} | set(re.findall(r"<h\d[^>]*><code>(.+?)</code>", commands))
    assert told == set(_commands(typer.main.get_command(pulse.app), "./pulse"))


def _commands(command: object, name: str) -> Iterator[str]:
    """`command` and those below it, but for the default pipeline's second name."""
    yield name
    for word, each in getattr(command, "commands", {}).items():
        if (name, word) != ("./pulse", DEFAULT_PIPELINE):
            yield from _commands(each, f"{name} {word}")


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("esports.md", "[stock](stock.md#topics)", "[stock](stock.md#topics)"),
        ("esports.md", "[the README](../README.md#try-it)", "[the README](overview.md#try-it)"),
        ("esports.md", "[.env.example](../.env.example)", "[.env.example](reference/settings.md)"),
        ("esports.md", "[rules.py](../analytics/rules.py)", "`analytics/rules.py`"),
        ("esports.md", "[`rules.py`](../analytics/rules.py)", "`analytics/rules.py`"),
        ("esports.md", "[the\nboards](../deploy/grafana/)", "the\nboards (`deploy/grafana`)"),
        (
            "esports.md",
            "[here](#below), [there](https://example.org)",
            "[here](#below), [there](https://example.org)",
        ),
        ("overview.md", "[stock](docs/stock.md#a)", "[stock](stock.md#a)"),
        ("overview.md", "![page](docs/pictures/page.png)", "![page](pictures/page.png)"),
        ("overview.md", "[how](CONTRIBUTING.md)", "[how](contributing.md)"),
        ("reference/metrics.md", "[operations](../operations.md)", "[operations](../operations.md)"),
    ],
)
def test_a_link_leads_to_the_same_in_the_site(page: str, text: str, shown: str) -> None:
    """To a page of it, or it is the path of what only the repository has."""
    assert links_within(text, page) == shown


def test_a_broken_anchor_ends_the_build(tmp_path: Path) -> None:
    """What the site's own settings say of one is enough, on a page without the theme."""
    mkdocs()
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    for folder, text in {
        "docs/index.md": "# One\n\n[gone](#two)\n",
        "theme/main.html": "{{ page.content }}",
    }.items():
        (tmp_path / folder).parent.mkdir()
        (tmp_path / folder).write_text(text, encoding="utf-8")
    config = load_config(
        str(ROOT / "mkdocs.yml"),
        strict=True,
        docs_dir=str(tmp_path / "docs"),
        site_dir=str(tmp_path / "site"),
        nav=["index.md"],
        hooks=[],
        plugins=[],
        theme={"name": None, "custom_dir": str(tmp_path / "theme")},
    )
    with pytest.raises(Abort, match="1 warnings"):
        build(config)
