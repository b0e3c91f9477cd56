"""Rules of the logs: secrets never leave, lines look like the seed's, nothing here stops the work."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import ConfigurationError
from monitoring import logs
from monitoring.console import one_line, printable
from monitoring.redaction import Redactor

ROOT = Path(__file__).parents[3]
SECRET = "hunter2"  # noqa: S105 - not a real one


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    structlog.reset_defaults()
    logs._redactor.set_secrets([])
    for handler in list(root.handlers):
        if isinstance(handler, logs._Forward):
            root.removeHandler(handler)
    root.setLevel(level)


def logged(level: str = "DEBUG", json_lines: bool = False) -> io.StringIO:
    """Configure and return the stream that the lines go to."""
    stream = io.StringIO()
    logs.configure(level, (SECRET,), json=json_lines, stream=stream)
    return stream


def raise_nested() -> None:
    """An error whose cause holds a secret, as drivers raise them."""
    try:
        int(f"mongodb://app:{SECRET}@db:27017/x")
    except ValueError as error:
        raise RuntimeError(f"password {SECRET} refused") from error


@pytest.mark.parametrize("json_lines", [False, True])
def test_secrets_are_masked_everywhere(json_lines: bool) -> None:
    """Event, values, nested values, keys, other objects and the traceback with its causes hold no secret."""
    stream = logged(json_lines=json_lines)
    log = logs.get_logger("pipelines.health")
    nested = {"a": [{"b": f"x{SECRET}y"}, (SECRET,)], SECRET: 1, "bytes": SECRET.encode()}
    log.info(f"connecting to mongodb://app:{SECRET}@db", uri=f"postgres://u:other@h/{SECRET}", nested=nested)
    log.info("an object", error=ValueError(SECRET))
    try:
        raise_nested()
    except RuntimeError as error:
        log.warning("failed", exc_info=error)
        log.exception("failed again")
    text = stream.getvalue()
    assert SECRET not in text
    assert "other@" not in text
    assert "***" in text
    assert text.count("RuntimeError: password *** refused") == 2
    assert "mongodb://***:***@db" in text


@pytest.mark.parametrize("json_lines", [False, True])
def test_the_figures_of_a_batch_are_for_machines(json_lines: bool) -> None:
    """People read them in the line itself; a JSON line has them as values, masked like everything."""
    stream = logged(json_lines=json_lines)
    logs.get_logger("x").info("Batch 7 completed", batch={"users": 3, "errors": [f"{SECRET} refused"]})
    text = stream.getvalue()
    if json_lines:
        assert json.loads(text)["batch"] == {"users": 3, "errors": ["*** refused"]}
    else:
        assert text == "Batch 7 completed\n"


def test_libraries_logs_are_masked_too() -> None:
    """What goes through the standard library's logging goes the same way, from WARNING on."""
    stream = logged("INFO")
    library = logging.getLogger("pymongo.topology")
    library.info("chatter")
    library.warning("no answer from %s", f"mongodb://app:{SECRET}@db")
    try:
        raise_nested()
    except RuntimeError:
        library.exception("gone")
    logging.getLogger("custom").log(35, "between two levels")
    text = stream.getvalue()
    assert SECRET not in text
    assert "chatter" not in text
    assert "no answer from mongodb://***:***@db" in text
    assert "RuntimeError: password *** refused" in text
    assert "between two levels" in text


def test_a_library_record_with_wrong_arguments_is_still_logged() -> None:
    """Its message without arguments is logged; the standard report would show the arguments unmasked."""
    root = logging.getLogger()
    # pytest's own handlers would raise at such a record.
    with mock.patch.object(root, "handlers", []):
        stream = logged()
        logging.getLogger("lib").warning("of %d", f"mongodb://app:{SECRET}@db")
    assert stream.getvalue() == "⚠️  of %d\n"


@pytest.mark.parametrize(
    ("given_text", "masked"),
    [
        ("mongodb://app:pw@h1:27017,h2:27017/x", "mongodb://***:***@h1:27017,h2:27017/x"),
        ("mongodb+srv://app:p%40w@host", "mongodb+srv://***:***@host"),
        ("mongodb://app:p@ss/wo:rd@host/db", "mongodb://***:***@host/db"),
        ("mongodb://me@firm.com:pw@host", "mongodb://***:***@host"),
        ("mongodb://app:12345@host", "mongodb://***:***@host"),
        ("mongodb://app:12345,6@host", "mongodb://***:***@host"),
        ("mongodb://app:pw%40host", "mongodb://***:***@host"),
        ("http://localhost:5000/api/users/a%40b.de", "http://localhost:5000/api/users/a%40b.de"),
        ("redis://:pw@host", "redis://***:***@host"),
        ("https://token@host/path", "https://***@host/path"),
        ("mongodb://host-user@h1:27017/x", "mongodb://host-user@h1:27017/x"),
        ("postgresql://me@host/db ldap://a:b@h", "postgresql://me@host/db ldap://***:***@h"),
        ("://a:1/x://b:pw@h", "://a:1/x://***:***@h"),
        ("('amqp://u:pa'ss@h', 1)", "('amqp://***:***@h', 1)"),
        ("http://localhost:5000/api/users/a@b.de", "http://localhost:5000/api/users/a@b.de"),
        ("mongodb://h1:27017,h2:27017/?appName=a@b", "mongodb://h1:27017,h2:27017/?appName=a@b"),
        ("mongodb://localhost:27017", "mongodb://localhost:27017"),
        ("a@b.de: 12:30", "a@b.de: 12:30"),
    ],
)
def test_user_and_password_of_any_address_are_masked(given_text: str, masked: str) -> None:
    """Any `scheme://user:password@` is masked, also a badly encoded one; ports and mail addresses stay."""
    assert Redactor().text(given_text) == masked


@given(
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1).filter(lambda text: "*" not in text),
    st.text(),
    st.text(),
)
@example("p+w/@:é'\"\\", "", "")
def test_a_given_secret_is_masked_in_every_form(secret: str, before: str, after: str) -> None:
    """As given, URL-encoded, in a repr or in JSON text: a secret is not in what is left."""
    redactor = Redactor([secret])
    for form in {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}:
        left = redactor.text(f"{before}{form}{after}")
        assert secret not in left


def test_the_longest_secret_goes_whole() -> None:
    """A secret that contains another one leaves no rest of itself."""
    assert Redactor(["pw", "app:pw-long"]).text("app:pw-long pw") == "*** ***"


def test_empty_secrets_mask_nothing() -> None:
    """An empty setting must not turn every line into stars."""
    assert Redactor(["", "x1"]).text("a x1 b") == "a *** b"


def test_redaction_is_linear() -> None:
    """A megabyte without and with many addresses, with and without blanks, takes no minutes."""
    start = time.thread_time()
    parts = (
        "a",
        "a:/",
        "mongodb://a b:c@ ",
        "://a:b",
        "://a:b/",
        "http://h:1/",
        "://",
        "://a:%4",
        "https://t",
    )
    for part in parts:
        for end in ("", "@", "%40", " @"):
            Redactor([SECRET]).text(part * (1_000_000 // len(part)) + end)
    assert time.thread_time() - start < 20


def test_values_that_cannot_be_shown_do_not_raise() -> None:
    """A structure that contains itself and an object whose `str` raises are still logged."""

    class Broken:
        def __str__(self) -> str:
            raise OSError

    loop: dict[str, Any] = {}
    loop["loop"] = loop
    stream = logged(json_lines=True)
    logs.get_logger("x").info("e", loop=loop, broken=Broken(), number=float("nan"))
    entry = json.loads(stream.getvalue())
    assert entry["broken"] == "<Broken>"
    assert entry["number"] == "nan"


def test_console_lines_are_plain() -> None:
    """The event as it is, no time, level or module; values follow; only warnings and errors get a mark."""
    stream = logged()
    log = logs.get_logger("pipelines.health")
    log.info("✅ Batch batch_1 completed: 50 records → 20 analytics (450ms)\n   📥 Inserts: 15")
    log.info("100% of {it}", path="a b", count=3)
    log.warning("slow")
    log.error("❌ Batch batch_2 failed: x")
    log.error("bad")
    assert stream.getvalue().splitlines() == [
        "✅ Batch batch_1 completed: 50 records → 20 analytics (450ms)",
        "   📥 Inserts: 15",
        "100% of {it}  path='a b'  count=3",
        "⚠️  slow",
        "❌ Batch batch_2 failed: x",
        "❌ bad",
    ]


def test_json_lines_hold_level_time_and_module() -> None:
    """With json each line is one object for machines."""
    stream = logged(json_lines=True)
    logs.get_logger("sinks.dead_letters").warning("full\nup", free=0)
    entry = json.loads(stream.getvalue())
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "full\nup", "free": 0, "level": "warning", "logger": "sinks.dead_letters"}


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("INFO", 3), ("warning", 2), ("ERROR", 1)])
def test_the_level_holds_back_what_is_below(level: str, shown: int) -> None:
    """Only events of at least the level are written."""
    stream = logged(level)
    log = logs.get_logger("x")
    for write in (log.debug, log.info, log.warning, log.error):
        write("x")
    assert len(stream.getvalue().splitlines()) == shown


def test_an_unknown_level_names_the_setting() -> None:
    """The error tells the variable and the allowed values."""
    with pytest.raises(ConfigurationError, match=r"LOG_LEVEL.*WARNING"):
        logs.configure("LOUD", [])


def test_loggers_made_before_configure_follow_it() -> None:
    """A module takes its logger at import; what main configures later holds for it, and again."""
    log = logs.get_logger("early")
    first, second = logged(), logged()
    log.info("now")
    logging.getLogger("lib").warning("once")
    assert first.getvalue() == ""
    assert second.getvalue() == "now\n⚠️  once\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "✅ é 1 → 2 | ⏭️  Skipped ⚠️  x ❌ 2\u03c3"),
        ("cp1252", "[OK] é 1 -> 2 | Skipped [!] x [X] 2sigma"),
        ("ascii", "[OK] \\xe9 1 -> 2 | Skipped [!] x [X] 2sigma"),
    ],
)
def test_streams_that_cannot_show_emoji_get_ascii(encoding: str, shown: str) -> None:
    """A strict stream of any encoding gets the line it can encode, and no error."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    logs.configure("INFO", [], stream=stream)
    logs.get_logger("x").info("✅ é 1 → 2 | ⏭️  Skipped ⚠️  x ❌ 2\u03c3")
    assert raw.getvalue().decode(encoding) == shown + "\n"


@given(st.text(), st.sampled_from(["ascii", "cp1252", "utf-8", "utf-16", "shift_jis"]))
def test_every_text_can_be_printed(text: str, encoding: str) -> None:
    """No text raises UnicodeEncodeError, lone surrogates included."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    printable(text, stream).encode(encoding)


def test_color_only_on_a_terminal_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are colored on a terminal, never with NO_COLOR, never in a file."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    outputs = []
    for stream in (Terminal(), io.StringIO()):
        logs.configure("INFO", [], stream=stream)
        logs.get_logger("x").warning("w")
        outputs.append(stream.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    logs.configure("INFO", [], stream=terminal)
    logs.get_logger("x").warning("w")
    assert outputs[0] == "\033[33m⚠️  w\033[0m\n"
    assert outputs[1] == terminal.getvalue() == "⚠️  w\n"


def test_control_characters_never_reach_the_terminal() -> None:
    """Text from documents cannot clear the screen, rewrite a line or forge one in a value."""
    stream = logged()
    logs.get_logger("x").info("a\x1b[2Jb\rc", value="1\n✅ forged")
    assert stream.getvalue() == "a[2Jbc  value='1\\n✅ forged'\n"
    assert one_line("\n  \x1b[1mfirst\nsecond") == "[1mfirst"
    assert one_line("x" * 30, 10) == "x" * 9 + "…"


def test_a_closed_output_costs_one_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work goes on when nobody reads the log any more; standard error tells it once."""
    monkeypatch.setattr(logs._StreamLogger, "_warned", False)
    stream = io.StringIO()
    logs.configure("INFO", [SECRET], stream=stream)
    stream.close()
    logs.get_logger("x").info("one")
    logs.get_logger("x").info("two")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_warnings_about_logs_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """Also what goes to standard error directly holds no secret."""
    logged()
    logs.warn_stderr(f"cannot write {SECRET}")
    assert capsys.readouterr().err == "⚠️  cannot write ***\n"


_UNCAUGHT = """
import sys, threading, warnings
from monitoring import logs
logs.mask_uncaught()
logs.configure("INFO", ["c4nary"])
class Bad:
    def __del__(self):
        raise ValueError("c4nary in __del__")
def bug():
    raise ValueError("c4nary in " + threading.current_thread().name)
warnings.warn("option c4nary is not known", UserWarning)
Bad()
thread = threading.Thread(target=bug, name="a thread")
thread.start(); thread.join()
bug()
"""


def test_what_nobody_catches_is_masked_too() -> None:
    """In the main thread, in another, while an object is destroyed, and in warnings of libraries."""
    run = subprocess.run(
        [sys.executable, "-c", _UNCAUGHT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    output = run.stdout + run.stderr
    assert run.returncode == 1
    assert "c4nary" not in output
    for shown in ("*** in MainThread", "*** in a thread", "*** in __del__", "option *** is not known"):
        assert shown in output
