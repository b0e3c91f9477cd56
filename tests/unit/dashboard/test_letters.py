"""The page of the dead letters: what each visitor sees, what the operator may do, what that leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from streamlit.testing.v1 import AppTest

import told
from contracts import Rejected
from dashboard import letter_commands, letters
from dashboard.door import Door
from dashboard.entrance import Entrance
from dashboard.letter_commands import Ended, LetterCommands, run_command
from dashboard.letters import LettersData, Queue
from monitoring.act_log import ActLog
from pipelines.catalog import PIPELINES
from pipelines.engine.letter_desk import LetterDesk
from settings import load
from sinks.dead_letters import DeadLetters, Owner
from sinks.stream_letters import RejectedRecord, as_letters
from tests.support.shown import HOSTILE, show, texts

WORD = "correct horse"
NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
OWNER = Owner.of("here", ["h"])
CLOSED, OPEN = Entrance(), Entrance({"operator": Door(WORD)})
VALUE = "walked-31415-steps"


class Desk:
    """The letters of two pipelines, and commands that only say what they were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.health = DeadLetters(folder / "dlq", owner=OWNER)
        self.stock = DeadLetters(folder / "dlq", "stock_dlq", owner=OWNER)
        self.ran: list[Sequence[str]] = []
        self.answer = Ended(0, "1 resolved, 0 kept.")

    def run(self, words: Sequence[str]) -> Ended:
        """Note the command."""
        self.ran.append(words)
        return self.answer

    def refuse(self, count: int, reason: str = "not_a_number") -> None:
        """Letters of as many people."""
        documents = [
            {"_id": ObjectId(), "userId": ObjectId(), "metrics": {"steps": VALUE}} for _ in range(count)
        ]
        self.health.store([Rejected(one, reason, "metrics.steps") for one in documents], "batch_1", NOW)

    def data(self, entrance: Entrance) -> LettersData:
        """The page's."""
        queues = [
            Queue("health", "Health", lambda: LetterDesk(PIPELINES["health"], self.health), True),
            Queue("stock", "Stock", lambda: LetterDesk(PIPELINES["stock"], self.stock)),
        ]
        return LettersData(queues, entrance, LetterCommands(ActLog(self.folder / "logs", [WORD]), self.run))

    def acts(self) -> list[dict[str, str]]:
        """The log of acts."""
        return [
            json.loads(line)
            for path in sorted((self.folder / "logs").glob("acts_*.jsonl"))
            for line in path.read_text().splitlines()
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Without letters."""
    return Desk(tmp_path)


def _inside(desk: Desk) -> AppTest:
    page = show(letters.render, desk.data(OPEN))
    page.text_input(key="operator_password").input(WORD)
    page.button[0].click().run()
    assert not page.exception
    return page


def _codes(page: AppTest) -> list[str]:
    return [str(code.value) for code in page.code]


def _everything(page: AppTest) -> str:
    tables = [str(table.value.to_dict()) for table in page.table]
    return "\n".join([texts(page), *tables, *_codes(page)])


def test_nothing_refused_is_said_in_the_first_line(desk: Desk) -> None:
    """Also where there is no folder."""
    page = show(letters.render, desk.data(CLOSED))
    assert page.markdown[0].value == "**Nothing was refused.**"
    assert len(page.table) == len(page.button) == 0


def test_without_any_configuration_there_are_counts_alone(desk: Desk) -> None:
    """By reason; no record, no button, and which setting gives them."""
    desk.refuse(2)
    desk.refuse(1, "future")
    page = show(letters.render, desk.data(CLOSED))
    assert not page.exception
    assert page.markdown[0].value == "**3 dead letters wait:** Health 3."
    (table,) = page.table
    rows = table.value.to_dict("list")
    assert rows["Letters"] == ["2", "1"]
    assert [name.replace("\\", "") for name in rows["Reason"]] == [
        "not_a_number metrics.steps",
        "future metrics.steps",
    ]
    assert "OPERATOR_PASSWORD" in page.info[0].value
    assert len(page.button) == len(page.selectbox) == 0
    assert VALUE not in _everything(page)


@pytest.mark.parametrize(
    "entrance",
    [OPEN, Entrance({"administrator": Door(WORD)}), Entrance(people={"a@x.org": frozenset(["operator"])})],
    ids=["operator's password", "another's password", "roles without a sign-in"],
)
def test_who_is_no_operator_sees_no_record_and_no_button(desk: Desk, entrance: Entrance) -> None:
    """Nobody can do what his page does not offer."""
    desk.refuse(1)
    page = show(letters.render, desk.data(entrance))
    assert len(page.selectbox) == 0
    assert VALUE not in _everything(page)
    assert not any(str(button.key).startswith("letters_") for button in page.button)


def _choose(page: AppTest, index: int = 0) -> str:
    box = page.selectbox(key="letters_health")
    box.select_index(index).run()
    return str(page.selectbox(key="letters_health").value)


def test_the_operator_sees_what_is_wrong_what_mends_it_and_the_record(desk: Desk) -> None:
    """In the words of `dlq show`."""
    desk.refuse(1)
    page = _inside(desk)
    _choose(page)
    words, record = _codes(page)
    assert words.startswith(f"wrong: metrics.steps is '{VALUE}' (not_a_number)\nwhere: healthmetrics")
    assert "mend: mongosh: db.healthmetrics.updateOne" in words
    assert json.loads(record)["metrics"] == {"steps": VALUE}
    page.button(key="operator_leave").click().run()
    assert VALUE not in _everything(page)


@pytest.mark.parametrize(("act", "more"), [("retry", []), ("purge", ["--yes"])])
def test_an_act_needs_a_second_button_and_leaves_two_lines(desk: Desk, act: str, more: list[str]) -> None:
    """Who, when, what, and how it ended; the password is in none."""
    desk.refuse(2)
    page = _inside(desk)
    letter = _choose(page)
    page.button(key=f"letters_{act}_health").click().run()
    assert desk.ran == []
    page.button(key="letters_no_health").click().run()
    assert not desk.ran
    assert not desk.acts()
    page.button(key=f"letters_{act}_health").click().run()
    page.button(key="letters_yes_health").click().run()
    assert not page.exception
    assert desk.ran == [["health", "dlq", act, letter, *more]]
    assert [(one["what"], one["letter"], one["outcome"]) for one in desk.acts()] == [
        (act, letter, "asked"),
        (act, letter, "exit code 0"),
    ]
    assert all(one["who"].startswith("operator at ") for one in desk.acts())
    assert len(page.success) == 1
    assert "1 resolved" in _everything(page)


def test_a_second_button_is_for_the_letter_of_the_first_alone(desk: Desk) -> None:
    """Who chooses another letter meanwhile is asked anew."""
    desk.refuse(2)
    page = _inside(desk)
    _choose(page)
    page.button(key="letters_purge_health").click().run()
    _choose(page, 1)
    assert not any(button.key == "letters_yes_health" for button in page.button)


def test_a_command_that_fails_is_told_with_its_words(desk: Desk) -> None:
    """As text, whatever they are; the letter may be tried again."""
    desk.refuse(1)
    desk.answer = Ended(2, f"❌ The stream runs.\n{HOSTILE}")
    page = _inside(desk)
    _choose(page)
    page.button(key="letters_retry_health").click().run()
    page.button(key="letters_yes_health").click().run()
    assert "exit code 2" in page.error[0].value
    assert HOSTILE in _codes(page)[0]
    assert HOSTILE not in texts(page)


def test_what_cannot_be_written_down_is_not_done(desk: Desk) -> None:
    """A full disk, a folder that is not writable."""
    desk.refuse(1)
    page = _inside(desk)
    _choose(page)
    (desk.folder / "logs").write_text("no folder")
    page.button(key="letters_purge_health").click().run()
    page.button(key="letters_yes_health").click().run()
    assert desk.ran == []
    assert "log of acts" in page.error[0].value


def test_one_letter_at_a_time_is_at_work(desk: Desk) -> None:
    """Another one is refused at once; afterwards there is room again, whatever happened."""
    commands = desk.data(OPEN).commands
    inner: list[Ended] = []

    def run(_: Sequence[str]) -> Ended:
        inner.append(commands.act("b", "retry", "health", "abcdef"))
        raise OSError(2, "no such program")

    commands._run = run
    assert commands.act("a", "retry", "health", "abcdef").code is None
    assert inner[0].output.startswith("Another letter is at work")
    commands._run = desk.run
    assert commands.act("a", "retry", "health", "abcdef").code == 0


def test_hostile_letters_are_text(desk: Desk) -> None:
    """Of a record that anybody may have sent, in every part of the page."""
    records = [RejectedRecord(HOSTILE, "topic\u202e", 7, HOSTILE.encode(), hint=HOSTILE)]
    desk.stock.store(list(as_letters(records, "offset")), "batch_1", NOW)
    page = _inside(desk)
    page.selectbox(key="letters_stock").select_index(0).run()
    assert not page.exception
    assert HOSTILE not in texts(page)
    cells = str([list(table.value.to_dict("list").values()) for table in page.table])
    assert HOSTILE not in cells
    assert "\u202e" not in _everything(page)


def test_a_folder_that_cannot_be_read_is_told_and_hides_no_other(desk: Desk, tmp_path: Path) -> None:
    """With the remedy."""
    desk.refuse(1)
    (tmp_path / "file").write_text("")
    desk.stock = DeadLetters(tmp_path / "file" / "dlq", "stock_dlq", owner=OWNER)
    page = show(letters.render, desk.data(CLOSED))
    assert page.error[0].value.startswith("Stock: ")
    assert "DLQ\\_DIRECTORY" in page.error[0].value
    assert len(page.table) == 1


def test_no_more_than_the_newest_letters_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so; what is damaged is counted."""
    monkeypatch.setattr("pipelines.engine.letter_desk.EXAMINED", 3)
    desk.refuse(5)
    newest = max((desk.folder / "dlq").iterdir())
    newest.write_text("{")
    page = show(letters.render, desk.data(CLOSED))
    assert page.table[0].value.to_dict("list")["Letters"] == ["2"]
    assert "Of the newest 3" in texts(page)
    assert page.warning[0].value == "1 file cannot be read."


def _program(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    (folder / "pulse").write_text(text)
    monkeypatch.setattr(told, "_LAUNCHER", folder / "pulse")


def test_a_command_runs_with_its_words_and_only_its_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of its streams, and its exit code."""
    _program(monkeypatch, tmp_path, "import sys; print('x' * 100_000, sys.argv[1:]); sys.exit('why')")
    ended = run_command(["dlq", "retry", "a b"])
    assert ended.code == 1
    assert "['dlq', 'retry', 'a b']" in ended.output
    assert "why" in ended.output
    assert len(ended.output) <= 8_000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("ignore", [False, True], ids=["it ends", "it does not"])
def test_a_command_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignore: bool) -> None:
    """It is told to stop, then killed."""
    monkeypatch.setattr(letter_commands, "_SECONDS", 1.0)
    monkeypatch.setattr(letter_commands, "_END_SECONDS", 0.5)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if ignore else ""
    _program(monkeypatch, tmp_path, f"{stubborn}import time; time.sleep(60)")
    ended: Any = run_command([])
    assert ended.code == (-9 if ignore else -15)
    assert "It was ended after" in ended.output


def test_the_command_that_it_runs_is_one(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dlq purge` itself, on a letter of this installation: it is gone, and the command says so."""
    settings = load(env_file=None, dlq_directory=tmp_path / "dlq", mongo_uri="mongodb://127.0.0.1:9")
    monkeypatch.setenv("DLQ_DIRECTORY", str(tmp_path / "dlq"))
    monkeypatch.setenv("MONGO_URI", "mongodb://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    queue = PIPELINES["stock"].open_letters(settings)
    records = [RejectedRecord("broken", "topic", 7, b"{")]
    queue.store(list(as_letters(records, "offset")), "batch_1", NOW)
    (letter,) = queue.list()
    commands = LetterCommands(ActLog(tmp_path / "logs"))
    ended = commands.act("a", "purge", "stock", letter.id)
    assert (ended.code, ended.output) == (0, "1 letter deleted.")
    assert queue.count() == 0


@pytest.mark.parametrize(
    ("queue", "told_of_it"),
    [("health", "which tries letters by itself"), ("stock", "stop the stream first, and start it again")],
)
def test_who_is_about_to_try_a_letter_is_told_what_to_do_about_the_stream(
    desk: Desk, queue: str, told_of_it: str
) -> None:
    """Beside the stream nobody else may write; removing a letter has nothing to do with it."""
    desk.refuse(1)
    refused = as_letters([RejectedRecord("conflict", "t/0", 1, b"{}")], "offset")
    desk.stock.store([*refused], "b", NOW)
    page = _inside(desk)
    letter = page.selectbox(key=f"letters_{queue}").options
    page.selectbox(key=f"letters_{queue}").select_index(0).run()
    assert letter
    page.button(key=f"letters_retry_{queue}").click().run()
    assert told_of_it in page.warning[0].value
    page.button(key=f"letters_no_{queue}").click().run()
    page.button(key=f"letters_purge_{queue}").click().run()
    assert "stream" not in page.warning[0].value
