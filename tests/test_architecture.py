"""The shape of the code itself: layers of the single modules, imports without effects, sizes, docstrings."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("sources", "analytics", "sinks", "checkpoint", "monitoring")
PACKAGES = (
    *PARTS,
    "contracts",
    "surroundings",
    "simulation",
    "accounting",
    "pipelines",
    "commands",
    "dashboard",
)
PROJECT_FILES = sorted(
    [*ROOT.glob("*.py"), *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))]
)
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 50

# The modules beside the packages: what may start things, and what everything may rest on.
COMMANDS = {"main", "process_batch"}
FOUNDATION = {file.stem for file in ROOT.glob("*.py")} - COMMANDS - {"session"} | {"surroundings"}
SINGLE = [*sorted(FOUNDATION - {"surroundings"}), "session"]
# The commands people run speak to them; everything else logs.
MAY_PRINT = ("main.py", "process_batch.py", "pipelines/", "commands/")

# What wires the parts reads the settings, and hands values to them.
MAY_READ_SETTINGS = (
    "commands/*.py",
    "dashboard/*/demo.py",
    "dashboard/asking/server.py",
    "dashboard/health/opening.py",
    "dashboard/*/pages.py",
    "dashboard/setup.py",
    "pipelines/*/demo*.py",
    "pipelines/*/job.py",
    "pipelines/catalog.py",
    "pipelines/ecommerce/figures.py",
    "pipelines/engine/kafka_connector.py",
    "pipelines/engine/kafka_input.py",
    "pipelines/engine/probes.py",
    "pipelines/engine/reporting.py",
    "pipelines/engine/retention.py",
    "pipelines/engine/retry_policy.py",
    # A declaration gives functions of the settings.
    "pipelines/engine/pipeline.py",
    "pipelines/*/pipeline.py",
    "pipelines/*/lineage.py",
    "pipelines/*/owner.py",
    "pipelines/engine/receivers.py",
    "pipelines/*/retention.py",
    "pipelines/esports/kafka_input.py",
    "pipelines/esports/store.py",
    "pipelines/health/polling.py",
    "pipelines/health/stores.py",
    "pipelines/stock/kafka_input.py",
    # They are started by people, and have a broker's address from nowhere else.
    "simulation/esports/messages.py",
    "simulation/health/people.py",
    "simulation/stock/shop.py",
)

# They run code or build objects out of data. pyspark pickles only its own functions.
_EXECUTING_CALLS = {"eval", "exec", "compile", "__import__"}
_EXECUTING_MODULES = {
    "pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "code",
    "codeop",
}

# Records what an import does beyond defining names. The audit hook sees every file opened for writing, every
# program started and every connection made, also by the libraries that the module imports; numpy and
# streamlit, which set variables of their own, come first.
_WATCH = """
import json, os, sys, threading
import numpy, streamlit
effects, current = [], ""
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
watched = {"subprocess.Popen", "os.system", "os.fork", "os.mkdir", "os.rename", "os.remove", "os.putenv",
           "socket.connect", "socket.bind"}
def hook(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & writing and str(args[0]) != os.devnull:
        effects.append([current, event, str(args[0])])
    elif event in watched:
        effects.append([current, event, repr(args)[:200]])
sys.addaudithook(hook)
for current in json.loads(sys.argv[1]):
    __import__(current)
current = "after all imports"
from pyspark import SparkContext
if SparkContext._gateway is not None:
    effects.append([current, "a JVM", ""])
if threading.active_count() > 1:
    effects.append([current, "threads", str(threading.enumerate())])
print(json.dumps(effects))
"""


def _name(file: Path) -> str:
    """A path of the checkout as people write it."""
    return file.relative_to(ROOT).as_posix()


def _module(file: Path) -> str:
    return _name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _tree(file: Path) -> ast.Module:
    return ast.parse(_text(file))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _imported(tree: ast.Module) -> set[str]:
    """The top-level names of everything that is imported, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def _undocumented(body: list[ast.stmt], owner: str) -> Iterator[str]:
    """Public classes, functions and methods without a docstring."""
    for node in body:
        if not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield f"{owner}{node.name} (line {node.lineno})"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{owner}{node.name}.")


@pytest.mark.parametrize(
    "module", [*SINGLE, *sorted(f"surroundings/{file.stem}" for file in (ROOT / "surroundings").glob("*.py"))]
)
def test_single_modules_import_downwards(module: str) -> None:
    """The modules below the packages import only each other and contracts.

    import-linter, which knows packages only, sees to the rest (pyproject.toml).
    """
    project = {_module(file).split(".")[0] for file in PROJECT_FILES}
    imported = _imported(_tree(ROOT / f"{module}.py")) & project
    assert imported <= FOUNDATION | {"contracts"}


def test_imports_have_no_effects(tmp_path: Path) -> None:
    """Importing any module writes no file, starts no program, thread or JVM, and opens no connection."""
    modules = [_module(file) for file in PROJECT_FILES]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, "-c", _WATCH, json.dumps(modules)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [], "an import printed something or had an effect"
    assert list(tmp_path.iterdir()) == []


def test_only_what_wires_the_parts_reads_settings() -> None:
    """Sources, sinks, analytics, the session and the like get plain values, or a frozen dataclass of them."""
    readers = {_name(file) for file in PROJECT_FILES if "settings" in _imported(_tree(file))}
    assert {name for name in readers if not any(fnmatch(name, each) for each in MAY_READ_SETTINGS)} == set()


def test_every_connection_to_postgresql_is_made_in_one_place() -> None:
    """It fixes what settings of roles, databases and poolers would change, and so do its transactions."""
    makers = {
        (_name(file), call)
        for file in PROJECT_FILES
        for call in ("psycopg.connect(", "Connection.connect(", "psycopg2", "psycopg_pool", ".transaction():")
        if call in _text(file)
    }
    client, made = "sinks/ecommerce/connection.py", "Connection.connect("
    # The other one only asks whether the server answers.
    expected = {(client, made), (client, ".transaction():"), ("sinks/ecommerce/bounded.py", made)}
    assert makers == expected


def test_modules_stay_small() -> None:
    """A module has at most 250 non-empty lines: one reason to change."""
    sizes = {
        _name(file): sum(bool(line.strip()) for line in _text(file).splitlines()) for file in PROJECT_FILES
    }
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES} == {}


def test_functions_stay_small() -> None:
    """A function has at most 50 lines, docstring included."""
    long = [
        f"{_name(file)}:{function.lineno} {function.name}: {size} lines"
        for file in [*PROJECT_FILES, *TEST_FILES]
        for function in _functions(_tree(file))
        if (size := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_everything_public_is_documented() -> None:
    """Every module, public class, function and method says what it does."""
    trees = {_name(file): _tree(file) for file in PROJECT_FILES}
    # An empty __init__.py has nothing to say.
    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []
    assert [line for name, tree in trees.items() for line in _undocumented(tree.body, f"{name}: ")] == []


def test_every_test_states_its_rule() -> None:
    """A test's docstring is the rule it proves."""
    silent = [
        f"{_name(file)}:{function.lineno} {function.name}"
        for file in TEST_FILES
        for function in _functions(_tree(file))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_only_commands_print() -> None:
    """Only the command line prints; everything else logs, so that redaction and levels apply."""
    printed = [
        f"{_name(file)}:{node.lineno}"
        for file in PROJECT_FILES
        if not _name(file).startswith(MAY_PRINT)
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printed == []


def test_nothing_from_outside_is_executed() -> None:
    """No eval, exec, pickle or shell: what arrives is data."""
    found = []
    for file in PROJECT_FILES:
        tree = _tree(file)
        found += [f"{_name(file)}: {module}" for module in _imported(tree) & _EXECUTING_MODULES]
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in _EXECUTING_CALLS:
                found.append(f"{_name(file)}:{node.lineno} {node.id}")
            if isinstance(node, ast.Attribute) and node.attr in {"read_pickle", "to_pickle", "allow_pickle"}:
                found.append(f"{_name(file)}:{node.lineno} {node.attr}")
            if isinstance(node, ast.keyword) and node.arg in {"shell", "allow_pickle"}:
                found.append(f"{_name(file)}:{node.value.lineno} {node.arg}")
    assert found == []
