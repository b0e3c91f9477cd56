"""Links of the repository's pages, as the site has them."""

from __future__ import annotations

import posixpath
import re

_TAKEN = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# Pages of the site that are files of the repository outside docs/.
HOME = {page: path for path, page in _TAKEN.items()}
_CALLED = {**_TAKEN, ".env.example": "reference/settings.md"}
_LINK = re.compile(r"(?P<label>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")


def links_within(markdown: str, page: str) -> str:
    """`markdown` of the site's `page`, whose links are those of its file in the repository."""
    folder = posixpath.dirname(HOME.get(page, f"docs/{page}"))

    def moved(found: re.Match[str]) -> str:
        label, target = found["label"], found["target"]
        path, _, anchor = target.partition("#")
        if re.match("[a-z]+:", target) or not path:
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, path))
        inside = path.removeprefix("docs/") if path.startswith("docs/") else _CALLED.get(path)
        if inside is None:
            text = label.strip("![]")
            return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
        inside = posixpath.relpath(inside, posixpath.dirname(page) or ".")
        return f"{label}({inside}{'#' + anchor if anchor else ''})"

    return _LINK.sub(moved, markdown)
