"""`script/bench --report`: docs/performance.md, and README's table, from the figures that were kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import read

_PAGE, _README = Path("docs/performance.md"), Path("README.md")
_BEGIN, _END = "<!-- made by script/bench --report -->", "<!-- end of what it made -->"
_CHAPTERS = {
    "health": "Health: MongoDB to MongoDB",
    "stock": "Stock: Kafka to MongoDB",
    "esports": "Esports: Kafka to Parquet",
    "ecommerce": "E-commerce: CSV to PostgreSQL",
    "letters": "Dead letters",
    "growth": "After many files and batches",
    "pages": "Pages of the dashboard",
}
# A bar for each row of a part's first table with the column: the labels' columns, the column, the title.
_CHARTS = {
    "health, changes": (("changed users", "workload"), "ratio", "Times the script's time"),
    "stock": (("sales before",), "sales/s", "Sales a second"),
    "esports": (("way",), "records/s", "Records a second"),
    "ecommerce": (("way",), "events/s", "Events a second"),
}
_HEAD = """# How fast

Made by `script/bench --report` from what `script/bench` measured and kept in
[benchmarks/figures.json](../benchmarks/figures.json). A part that was not run again keeps its last figures,
with their date and commit.

## How it is measured

- On real servers on the same machine, by whole runs. Health: from the poll to the saved cursor, as each
  trigger of `./pulse run` runs it. The others: from the first record read until Spark notes them as read.
- Against what a user would otherwise write. For health that is
  [polars_script.py](../benchmarks/polars_script.py): plain pymongo and polars, every formula, all 24 results
  of a user by upserts. It shares nothing with the service and stays as it is; its results are compared with
  the service's in every run.
- In turns within one run, so that a machine that grows slower slows all; medians. **Compare ratios, never
  the times of two runs.** The load at the start of a part stands beside it: above the number of cores, others
  were at work.
- *sync*: today's day of each changed user, five metrics move. *correction*: one value 75 days ago.
  *weight*: one metric's new value. *first*: no results are stored yet.
- The limit is arithmetic over unit costs of the same run, on one connection: receive the history's bytes,
  write the results whose values changed (15, 1 and 3 of 24; *first* inserts 24), move the time of the others,
  run an empty Spark job. Decoding, computing and building results come on top; overlapping them comes off.
- What the comparison leaves out: {left_out}

Again: `script/bench`, `script/bench stock`, `esports`, `ecommerce`, `letters`, `growth`, `pages` and
`script/bench --scale`, then `script/bench --report`. `--help` names smaller sizes. With the checkout of an
earlier version, `script/bench --base FOLDER` measures full passes and starts against it.
"""
_LEFT_OUT = (
    "the script has no crash safety, no newer-wins between writers, no dead letters, no second look for late "
    "commits, and no cluster."
)


def page(figures: Mapping[str, Any]) -> str:
    """The whole docs/performance.md."""
    parts = [_HEAD.format(left_out=_LEFT_OUT)]
    for chapter, title in _CHAPTERS.items():
        found = {name: part for name, part in figures.items() if name.split(",")[0].split(" ")[0] == chapter}
        if found:
            parts += [f"## {title}\n", *(_part(name, part) for name, part in found.items())]
    return "\n".join(parts)


def readme_lines(figures: Mapping[str, Any]) -> str:
    """README's table of health, of the workload that is every day's, and what it leaves out."""
    part = figures.get("health, changes")
    if part is None:
        return "Not measured yet.\n"
    changes = part["tables"]
    wanted = ["changed users", "workload", "this service", "script", "ratio"]
    table = next(each for each in changes if {*wanted} <= {*each["columns"]})
    places = [table["columns"].index(name) for name in wanted]
    rows = [[row[place] for place in places] for row in table["rows"] if "sync" in row]
    lines = [f"{table['title']} ({_where(part)}):", "", *_table(wanted, rows), ""]
    return "\n".join([*lines, f"Left out: {_LEFT_OUT}", ""])


def with_lines(readme: str, figures: Mapping[str, Any]) -> str:
    """`readme` with the lines between its two marks made anew."""
    pattern = re.compile(f"(?<={re.escape(_BEGIN)}\n).*(?={re.escape(_END)})", re.DOTALL)
    return pattern.sub(lambda _: readme_lines(figures), readme)


def _part(name: str, part: Mapping[str, Any]) -> str:
    # What was kept of a run are the words behind the benchmark's name.
    chapter = re.split("[, ]", name)[0]
    command = " ".join(["script/bench", *([chapter] if chapter != "health" else []), part["options"]]).strip()
    lines = [f"### {name[:1].upper()}{name[1:]}\n", f"{_where(part)}, load {part['load']}, `{command}`.\n"]
    for table in part["tables"]:
        lines += [f"{table['title']}:\n", *_table(table["columns"], table["rows"]), ""]
        if name in _CHARTS and _CHARTS[name][1] in table["columns"] and "mermaid" not in "".join(lines):
            lines += _chart(*_CHARTS[name], table)
    if part["verdicts"]:
        judged = [
            [
                each["what"],
                f"{each['value']:.2f}{each['unit']}",
                each["budget"],
                "met" if each["met"] else "**missed**",
            ]
            for each in part["verdicts"]
        ]
        lines += [*_table(["figure", "found", "budget", ""], judged), ""]
    return "\n".join(lines)


def _where(part: Mapping[str, Any]) -> str:
    return f"{part['date']}, commit {part['commit']}, {part['machine']}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _chart(labels: Sequence[str], column: str, title: str, table: Mapping[str, Any]) -> list[str]:
    """A bar chart as Mermaid draws it."""
    places, value = [table["columns"].index(label) for label in labels], table["columns"].index(column)
    names = ", ".join('"' + " ".join(row[place] for place in places) + '"' for row in table["rows"])
    values = ", ".join(row[value].replace(",", "") for row in table["rows"])
    chart = ["xychart-beta", f'  title "{title}"', f"  x-axis [{names}]", f"  bar [{values}]"]
    return ["```mermaid", *chart, "```", ""]


def main() -> None:
    """Write both."""
    figures = read()
    _PAGE.write_text(page(figures), encoding="utf-8")
    _README.write_text(with_lines(_README.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    main()
