"""`.env` is read with whatever program it was saved, and what it does not say as it looks is told."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from commands.setting_names import remarks
from contracts import ConfigurationError
from settings import load


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.env` in the working folder, and none of its settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_DB_NAME", "SERVICE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Path(".env")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom", "utf-32"]
)
def test_every_encoding_with_a_mark_is_read(encoding: str, file: Path) -> None:
    """PowerShell's `>` writes UTF-16, Notepad a mark before UTF-8."""
    text = "MONGO_DB_NAME=Käse\r\nSPARK_APP_NAME=x\r\n"
    marks = {"utf-16-le-bom": codecs.BOM_UTF16_LE, "utf-16-be-bom": codecs.BOM_UTF16_BE}
    file.write_bytes(marks.get(encoding, b"") + text.encode(encoding.removesuffix("-bom")))
    settings = load()
    assert (settings.mongo_db_name, settings.spark_app_name) == ("Käse", "x")
    assert remarks() == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "A=x\nMONGO_DB_NAME=Käse\n".encode("latin-1"),
            r"\.env is not in UTF-8 \(line 2\): save it as UTF-8",
        ),
        ("MONGO_DB_NAME=x\n".encode("utf-16-le"), r"\.env is not in UTF-8 \(it holds zero bytes\): save"),
        (codecs.BOM_UTF16_LE + b"M", r"\.env is not in UTF-8 \(line 1\)"),
        (b"\x80\x00", r"\.env is not in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_line(content: bytes, told: str, file: Path) -> None:
    """It names the file and the remedy."""
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=told) as caught:
        load()
    assert "\n" not in str(caught.value)


_JAAS = 'KAFKA_OPTION_SASL_JAAS_CONFIG=x.PlainLoginModule required username="a" password="b #c";'
_REMARKS = [
    (_JAAS, "KAFKA_OPTION_SASL_JAAS_CONFIG in .env ends before ` #`"),
    ("SERVICE_TOKEN=secretsecret # mine", "SERVICE_TOKEN in .env ends before ` #`"),
    ("DLQ_DIRECTORY=/data/dlq #1", "DLQ_DIRECTORY in .env ends before ` #`"),
    ("SPARK_APP_NAME=${HOME}x", "SPARK_APP_NAME in .env holds ${…}, which is replaced"),
    ("SERVICE_TOKEN='abcdefgh${x}'", "SERVICE_TOKEN in .env holds ${…}, which is replaced"),
    ('SPARK_APP_NAME="C:\\new\\temp"', "SPARK_APP_NAME in .env holds line ends or other control characters"),
    ("MONGO_DB_NAME", "MONGO_DB_NAME in .env has no = and no effect"),
    ("MONGO_DB_NAME: x", "Line 2 of .env cannot be read and has no effect"),
    ("\n\nMONGO_DB_NAME='x", "Line 4 of .env cannot be read and has no effect"),
    ("MONGO_DB_NAME=a\nmongo_db_name=b", "MONGO_DB_NAME is in .env 2 times: the last one counts"),
    ("MONGO_DBNAME=a", "MONGO_DBNAME in .env is not a setting; did you mean MONGO_DB_NAME?"),
]


@pytest.mark.parametrize(("line", "told"), _REMARKS, ids=[line[:30] for line, _ in _REMARKS])
def test_a_line_that_is_read_in_another_way_than_it_looks_is_told(line: str, told: str, file: Path) -> None:
    """By its key or number; no part of a value is quoted, which may be secret."""
    file.write_text(f"LOG_LEVEL=INFO # as usual\n{line}\n")
    (remark,) = remarks()
    assert remark.startswith(told)
    assert "secretsecret" not in remark
    load()


@pytest.mark.parametrize(
    "line",
    [
        "SERVICE_TOKEN='abcdefgh #x'",
        "MONGO_DB_NAME=x   # a comment",
        "MONGO_DB_NAME=a#b",
        "# MONGO_DB_NAME=${x}",
        "export MONGO_DB_NAME=x",
    ],
)
def test_what_is_read_as_it_looks_is_not_told(line: str, file: Path) -> None:
    """Comments behind plain values are what they look like."""
    file.write_text(f"{line}\n")
    assert remarks() == []


def test_the_environment_goes_before_the_file_unless_it_is_empty(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever case the file has the names."""
    file.write_text("mongo_db_name=file\nSPARK_APP_NAME=file\nLOG_LEVEL=\n")
    monkeypatch.setenv("MONGO_DB_NAME", "around")
    monkeypatch.setenv("SPARK_APP_NAME", "")
    settings = load()
    assert (settings.mongo_db_name, settings.spark_app_name, settings.log_level) == ("around", "file", "INFO")
