"""The dead letters by HTTP: only for who sends the token, nothing done without a trace, and no harm else."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId

from contracts import Rejected
from monitoring.act_log import ActLog
from monitoring.probe_server import Answer, HealthServer
from pipelines.catalog import PIPELINES
from pipelines.engine.letter_desk import LetterDesk
from pipelines.engine.letters_api import LettersApi
from pipelines.engine.reporting import StreamReporting
from settings import load
from sinks.dead_letters import DeadLetters, Owner

TOKEN = "c0rrect-h0rse-b4ttery"  # noqa: S105
NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
OWNER = Owner.of("here", ["h"])
WAIT_SECONDS = 60
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


class Office:
    """A real server with the letters of two people."""

    def __init__(self, folder: Path, pipeline: str = "health", can_retry: bool = True) -> None:
        self.logs = folder / "logs"
        self.queue = DeadLetters(folder / "dlq", owner=OWNER)
        documents = [
            {"_id": ObjectId(), "userId": ObjectId(), "metrics": {"steps": "many"}} for _ in range(2)
        ]
        self.queue.store(
            [Rejected(one, "not_a_number", "metrics.steps") for one in documents], "batch_1", NOW
        )
        self.letter, self.other = (letter.id for letter in self.queue.list())
        self.asked: list[tuple[str, Callable[[str], None]]] = []
        self.has_room = True
        desk, acts = LetterDesk(PIPELINES[pipeline], self.queue), ActLog(self.logs, [TOKEN])
        api = LettersApi(TOKEN, desk, acts, self._ask if can_retry else None)
        probes = {"/health": lambda: Answer.of_json({"status": "healthy"})}
        self.server = HealthServer("127.0.0.1", 0, probes, {"/letters": api})
        self.server.start()

    def _ask(self, letter_id: str, tell: Callable[[str], None]) -> bool:
        if self.has_room:
            self.asked.append((letter_id, tell))
        return self.has_room

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> Any:
        """One request, with the token unless `headers` are given."""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        given = RIGHT if headers is None else headers
        return requests.request(method, url, headers=given, data=body, timeout=WAIT_SECONDS)

    def raw(self, sent: bytes) -> bytes:
        """The answer to these bytes."""
        with socket.create_connection(("127.0.0.1", self.server.port), WAIT_SECONDS) as connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def acts(self) -> list[tuple[str, str, str, str]]:
        """The log of acts: who, what, which letter, outcome."""
        files = sorted(self.logs.glob("acts_*.jsonl")) if self.logs.is_dir() else []
        lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        return [(one["who"], one["what"], one["letter"], one["outcome"]) for one in lines]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Of a pipeline that can try a letter between two batches."""
    made = Office(tmp_path)
    yield made
    made.server.close()


PATHS = ["GET /letters", "GET /letters/ID", "POST /letters/ID/retry", "POST /letters/ID/purge"]


def _of(office: Office, what: str) -> tuple[str, str]:
    method, _, path = what.replace("ID", office.letter).partition(" ")
    return method, path


@pytest.mark.parametrize("what", [*PATHS, "DELETE /letters", "GET /letters/nothing/here"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer  {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": f"Bearer {TOKEN}, Bearer x"},
        {"Authorization": "Bearer \xe9\xff"},
        {"Authorization": f"Bearer {'x' * 7_000}"},
        {"X-Token": TOKEN, "Cookie": f"token={TOKEN}"},
    ],
    ids=[
        *("none", "empty", "bare", "basic", "scheme", "no token", "part", "more", "two spaces", "upper"),
        *("two in one", "latin", "long", "elsewhere"),
    ],
)
def test_without_the_token_there_is_the_same_answer_everywhere(
    office: Office, what: str, given: dict[str, str]
) -> None:
    """Whether a letter exists is not told; nothing is done and nothing written."""
    method, path = _of(office, what)
    answer = office.send(method, path, given)
    if method == "DELETE":
        assert answer.status_code == 405
        return
    assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert office.letter not in answer.text
    assert office.queue.count() == 2
    assert not office.asked
    assert not office.acts()


def test_neither_a_query_nor_two_headers_let_anybody_in(office: Office) -> None:
    """A token in an address lies in logs; of two headers nobody knows which one a proxy looked at."""
    assert office.send("GET", f"/letters?token={TOKEN}&access_token={TOKEN}", {}).status_code == 401
    header = f"Authorization: Bearer {TOKEN}\r\n"
    assert b" 200 " in office.raw(f"GET /letters HTTP/1.0\r\n{header}\r\n".encode()).splitlines()[0]
    twice = office.raw(f"GET /letters HTTP/1.0\r\n{header}{header}\r\n".encode())
    assert b" 401 " in twice.splitlines()[0]


def test_letters_are_listed_by_reason_without_their_records(office: Office) -> None:
    """And one is shown with what mends it; its id may be its beginning, the scheme in any case."""
    body = office.send("GET", "/letters", {"Authorization": f"bearer {TOKEN}"}).json()
    assert (body["waiting"], body["examined"], body["damaged"]) == (2, 2, 0)
    (reason,) = body["reasons"]
    assert (reason["reason"], reason["count"]) == ("not_a_number metrics.steps", 2)
    assert {one["id"] for one in reason["letters"]} == {office.letter, office.other}
    assert "many" not in json.dumps(body)
    shown = office.send("GET", f"/letters/{office.letter[:12]}/").json()
    assert shown["id"] == office.letter
    assert shown["words"][0] == "wrong: metrics.steps is 'many' (not_a_number)"
    assert json.loads(shown["record"])["metrics"] == {"steps": "many"}
    assert office.send("HEAD", "/letters").content == b""


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("POST", "/letters", 405, "GET, HEAD"),
        ("POST", "/letters/ID", 405, "GET, HEAD"),
        ("GET", "/letters/ID/retry", 405, "POST"),
        ("HEAD", "/letters/ID/purge", 405, "POST"),
        ("PUT", "/letters/ID/purge", 405, "GET, HEAD"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("POST", "/nothing", 404, None),
        ("POST", "/letters/ID/burn", 404, None),
        ("POST", "/letters/ID/purge/x", 404, None),
        ("POST", "/letters/all/purge", 404, None),
        ("POST", "/letters/ffffffffffff/purge", 404, None),
        ("GET", "/letters/ffffffffffff", 404, None),
        ("GET", "/letters/..%2f..%2fetc", 404, None),
        ("GET", "/lettersx", 404, None),
    ],
)
def test_another_method_or_path_changes_nothing(
    office: Office, method: str, path: str, status: int, allowed: str | None
) -> None:
    """405 with what is allowed, 404 for what is not there."""
    answer = office.send(method, path.replace("ID", office.letter))
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allowed)
    assert office.queue.count() == 2
    assert not office.asked
    assert not office.acts()


def test_a_purge_removes_one_letter_and_leaves_two_lines(office: Office) -> None:
    """Again it is not found."""
    path = f"/letters/{office.letter[:12]}/purge"
    assert office.send("POST", path).json() == {"letter": office.letter, "outcome": "purged"}
    assert [letter.id for letter in office.queue.list()] == [office.other]
    who = "token from 127.0.0.1"
    expected = [(who, "purge", office.letter, "asked"), (who, "purge", office.letter, "purged")]
    assert office.acts() == expected
    assert office.send("POST", path).status_code == 404
    assert office.acts() == expected
    assert TOKEN not in "".join(path.read_text() for path in office.logs.iterdir())


def test_a_retry_waits_for_the_running_pipeline(office: Office) -> None:
    """202: it is not done yet; the log of acts says how it ended, or that there was no room."""
    path = f"/letters/{office.letter}/retry"
    assert office.send("POST", path).status_code == 202
    ((letter, tell),) = office.asked
    assert letter == office.letter
    tell("resolved")
    assert [act[3] for act in office.acts()] == ["asked", "resolved"]
    office.has_room = False
    assert office.send("POST", path).status_code == 503
    assert office.acts()[-1][3] == "refused: too many wait"


def test_beside_a_stream_no_letter_is_tried(tmp_path: Path) -> None:
    """Only the stream may write; the answer has the command for when it is stopped."""
    office = Office(tmp_path, "stock", can_retry=False)
    answer = office.send("POST", f"/letters/{office.letter}/retry")
    assert answer.status_code == 409
    assert f"stock dlq retry {office.letter[:12]}" in answer.json()["reason"]
    assert office.acts() == []
    office.server.close()


@pytest.mark.parametrize("act", ["purge", "retry"])
def test_what_cannot_be_written_down_is_not_done(office: Office, act: str) -> None:
    """The log of acts is no folder any more."""
    office.logs.write_text("")
    assert office.send("POST", f"/letters/{office.letter}/{act}").status_code == 503
    assert office.queue.count() == 2
    assert office.asked == []


@pytest.mark.parametrize("headers", ["Content-Length: 7", "Content-Length: x", "Transfer-Encoding: chunked"])
def test_a_body_is_refused_unread(office: Office, headers: str) -> None:
    """Also with the token."""
    head = (
        f"POST /letters/{office.letter}/purge HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n\r\n"
    )
    assert b" 413 " in office.raw(head.encode()).splitlines()[0]
    assert office.queue.count() == 2


def test_a_huge_body_harms_nobody(office: Office) -> None:
    """The answer may be lost while it is still sent, and nothing else."""
    with suppress(requests.ConnectionError):
        answer = office.send("POST", f"/letters/{office.letter}/purge", body=b"x" * 50_000_000)
        assert answer.status_code in (413, 431)
    assert office.queue.count() == 2
    assert office.send("GET", "/letters").status_code == 200


def test_a_folder_that_cannot_be_read_is_told(office: Office, tmp_path: Path) -> None:
    """503 with the remedy."""
    for path in (tmp_path / "dlq").iterdir():
        path.unlink()
    (tmp_path / "dlq").rmdir()
    (tmp_path / "dlq").write_text("")
    answer = office.send("GET", "/letters")
    assert answer.status_code == 503
    assert "DLQ_DIRECTORY" in answer.json()["reason"]


def test_a_job_has_such_paths_only_with_a_token(tmp_path: Path) -> None:
    """404 without one, also for an empty bearer."""
    for token, status in (("", 404), (TOKEN, 200)):
        settings = load(
            env_file=None,
            letters_api_token=token,
            dlq_directory=tmp_path / "dlq",
            log_directory=tmp_path / "logs",
            metrics_directory=tmp_path / "metrics",
        )
        made = StreamReporting(PIPELINES["stock"], settings, 5)._letters_api(None)
        server = HealthServer("127.0.0.1", 0, {}, {"/letters": made} if made else {})
        server.start()
        url, given = f"http://127.0.0.1:{server.port}/letters", {"Authorization": f"Bearer {token}"}
        assert requests.get(url, headers=given, timeout=WAIT_SECONDS).status_code == status
        if not token:
            assert requests.post(url, headers=given, timeout=WAIT_SECONDS).status_code == 404
        server.close()
