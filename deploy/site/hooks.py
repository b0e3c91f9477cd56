"""What MkDocs does not know: pages that do not lie in docs/, and diagrams without a CDN."""

from __future__ import annotations

from pathlib import Path

from markdown import Extension, Markdown
from markdown.blockprocessors import build_block_parser
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from deploy.site.links import HOME, links_within
from deploy.site.reference import commands_page, metrics_page, settings_page

ROOT = Path(__file__).resolve().parents[2]
# Fetched by script/docs; without it a diagram is shown as its text.
MERMAID = ROOT / ".cache" / "mermaid" / "mermaid.min.js"
_MADE = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/metrics.md": metrics_page,
}


class TwoSpaces(Extension):
    """Lets two spaces continue a list's item, as on GitHub; Markdown in Python wants four."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Called by Markdown."""
        md.tab_length = 2
        # Its parts looked at it when they were made.
        md.parser = build_block_parser(md)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show diagrams with the local copy of Mermaid, or as text: the theme would load one from a CDN."""
    config.markdown_extensions.insert(0, TwoSpaces())  # type: ignore[arg-type]
    if MERMAID.is_file():
        config.extra_javascript.append("assets/mermaid.min.js")
    else:
        config.mdx_configs["pymdownx.superfences"]["custom_fences"] = []
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    for page, path in HOME.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    for page, make in _MADE.items():
        files.append(File.generated(config, page, content=make()))
    if MERMAID.is_file():
        files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=str(MERMAID)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links to files of the repository into links within the site, or into the file's path."""
    return links_within(markdown, page.file.src_uri)
