"""`pulse forget` as a person sees it: the receipt in words, the question, the options, the refusals."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from commands import pulse
from commands.forgetting.logs import mask
from contracts import Rejected
from pipelines.catalog import PIPELINES
from settings import load
from sources.mongo_client import connect
from tests.support.command_line import Ended, run_command

_USER = ObjectId()


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Results, a day in the source and a letter of one person."""
    uri = f"mongomock://{secrets.token_hex(8)}"
    monkeypatch.setenv("MONGO_URI", uri)
    monkeypatch.chdir(tmp_path)
    made = connect(uri)["health-metrics"]
    made["analytics"].insert_many({"userId": _USER, "n": n} for n in range(24))
    made["healthmetrics"].insert_one({"userId": _USER})
    made["users"].insert_one({"_id": _USER, "email": "ann@example.org"})
    record = Rejected({"_id": ObjectId(), "userId": _USER}, "out_of_range", "metrics.steps")
    PIPELINES["health"].open_letters(load()).store([record], "b", datetime.now(timezone.utc))
    return made


def _pulse(*words: str, answer: str = "") -> Ended:
    return run_command(*words, answer=answer, app=pulse.app, name="pulse")


def _forget(*options: str, answer: str = "") -> Ended:
    return _pulse("forget", str(_USER), *options, answer=answer)


def test_the_receipt_is_for_people_and_for_scripts(database: Any) -> None:
    """By e-mail too; in words it names neither."""
    done = _pulse("forget", "ann@example.org", "--keep-source", "--yes")
    assert done.code == 0, done.err
    assert done.out.startswith("Forgotten: a person of health, ")
    assert "results" in done.out
    assert " 24 " in done.out
    assert str(_USER) not in done.out + done.err
    assert "ann@" not in done.out + done.err
    assert "Backups" in done.out
    assert database["analytics"].count_documents({}) == 0
    assert json.loads(_forget("--keep-source", "--json").out)["found"][0]["count"] == 0


def test_a_dry_run_tells_what_holds_it(database: Any) -> None:
    """And with --keep-source that nothing does."""
    asked, bold = _forget("--dry-run"), _forget("--dry-run", "--keep-source")
    assert (asked.code, bold.code) == (0, 0)
    assert asked.out.startswith("Counted, and nothing changed")
    assert "The source still has 1 day (health-metrics.healthmetrics) of the person." in asked.out
    assert "The source still has" not in bold.out
    assert database["analytics"].count_documents({}) == 24


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("n\n", 3, 24), ("", 2, 24), ("y\n", 0, 0)], ids=["no", "nobody", "yes"]
)
def test_it_asks_first(database: Any, answer: str, code: int, left: int) -> None:
    """Unless --yes."""
    ended = _forget("--keep-source", answer=answer)
    assert (ended.code, database["analytics"].count_documents({})) == (code, left)
    assert "Forget this person for good, in 25 things that are kept?" in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("forget", "nobody"), "is no user id"),
        (("forget", "bob@example.org"), "No user with this e-mail"),
        (("esports", "forget", "x"), "There is nobody to forget in esports"),
        (("stock", "forget", "x", "--keep-source"), "what the source of stock still has is not looked at"),
        (("stock", "forget", " "), "is no client's id"),
        (("ecommerce", "forget", " "), "is no user's id"),
    ],
    ids=["no id", "unknown e-mail", "esports", "source of stock", "no client", "no user"],
)
def test_what_cannot_be_is_one_line(words: tuple[str, ...], told: str) -> None:
    """With exit code 2, and nothing on standard output."""
    ended = _pulse(*words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert ended.err.count("\n") == 1


def test_a_client_of_whom_nothing_is_kept_needs_no_lock() -> None:
    """Every count is 0."""
    done = _pulse("stock", "forget", "C-1", "--json")
    assert done.code == 0, done.err
    assert {each["count"] for each in json.loads(done.out)["found"]} == {0}


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escapes", "UTF-8"])
def test_a_log_is_masked_in_errors_alone_and_nothing_moves(tmp_path: Path, ascii_only: bool) -> None:
    """Whole words of any spelling; numbers, names of fields and other texts stay."""
    whom = 'Zoë "7" \\ 😀'
    errors = [f"{whom} failed", f"Zo{whom}x", json.dumps(whom), f"completed; {whom}"]
    entry = {"errors": errors, "status": whom, "n": 7, "error_details": [{"message": errors[0]}], whom: 1}
    path = tmp_path / "logs" / "batch_logs_20260101.jsonl"
    path.parent.mkdir()
    line = json.dumps(entry, ensure_ascii=ascii_only) + "\n"
    path.write_text(line * 2 + "{broken\n", encoding="utf-8")
    size = path.stat().st_size
    assert mask(path.parent, "", [whom], dry_run=True) == 1
    assert path.read_text(encoding="utf-8").startswith(line)
    assert mask(path.parent, "", [whom], dry_run=False) == 1
    assert (path.stat().st_size, mask(path.parent, "", [whom], dry_run=False)) == (size, 0)
    after = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
    assert (after["status"], after["n"], after[whom], after["errors"][1]) == (whom, 7, 1, errors[1])
    masked = [after["errors"][0], after["error_details"][0]["message"]]
    assert all(text.strip("*") == " failed" for text in masked)
    assert whom not in "".join(after["errors"][n] for n in (0, 3))
    # As a server quotes it.
    assert after["errors"][2].strip('"*') == ""
