"""The dead letters by HTTP, below /letters of the health endpoints, for who sends the token."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from contracts import ConfigurationError, DeadLetterError
from monitoring.act_log import ActLog
from monitoring.logs import get_logger
from monitoring.probe_server import Answer, Request
from pipelines.engine.letter_desk import LetterDesk, Reason
from told import told

logger = get_logger(__name__)

# Takes a letter's id and what is to be told how its retry ended; False when too many wait.
AskRetry = Callable[[str, Callable[[str], None]], bool]
_PATH: Final = re.compile(r"/letters(?:/([0-9a-f]{6,64})(?:/(retry|purge))?)?")
_SCHEME: Final = re.compile(r"bearer ", re.IGNORECASE)


class LettersApi:
    """Answers what begins with /letters.

    `ask_retry` lets the running pipeline try a letter between two batches; without it a retry is refused,
    since nobody else may write beside a stream.
    """

    def __init__(self, token: str, desk: LetterDesk, acts: ActLog, ask_retry: AskRetry | None) -> None:
        self._expected = _digest(token)
        self._desk = desk
        self._acts = acts
        self._ask_retry = ask_retry

    def __call__(self, request: Request) -> Answer:
        """The answer; without the token it is the same for everything."""
        if not self._is_known(request.authorizations):
            return _told(HTTPStatus.UNAUTHORIZED, "send the token", {"WWW-Authenticate": "Bearer"})
        path = _PATH.fullmatch(request.path)
        if path is None:
            return _told(
                HTTPStatus.NOT_FOUND, "the paths are /letters, /letters/ID, and /retry or /purge below"
            )
        letter_id, act = path.groups()
        allowed = ("POST",) if act else ("GET", "HEAD")
        if request.method not in allowed:
            return _told(HTTPStatus.METHOD_NOT_ALLOWED, "", {"Allow": ", ".join(allowed)})
        return self._tried(letter_id, act, f"token from {request.address}")

    def _tried(self, letter_id: str | None, act: str | None, who: str) -> Answer:
        """The answer, also where the letters or the log of acts cannot be had."""
        try:
            return self._answer(letter_id, act, who)
        except ConfigurationError as error:
            return _told(HTTPStatus.NOT_FOUND, str(error))
        except DeadLetterError as error:
            return _told(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except OSError as error:
            logger.warning("The log of acts cannot be written; nothing was done", reason=error.strerror)
            return _told(
                HTTPStatus.SERVICE_UNAVAILABLE, "the log of acts cannot be written; nothing was done"
            )

    def _is_known(self, authorizations: tuple[str, ...]) -> bool:
        """Whether there is one header, and it has the token; as long as it may be, in the same time."""
        given = authorizations[0] if len(authorizations) == 1 else ""
        scheme = _SCHEME.match(given)
        right = hmac.compare_digest(_digest(given[scheme.end() :] if scheme else ""), self._expected)
        return right and scheme is not None

    def _answer(self, letter_id: str | None, act: str | None, who: str) -> Answer:
        if letter_id is None:
            return self._overview()
        shown = self._desk.show(letter_id)
        if act is None:
            cut = {"record_is_cut": True} if shown.is_cut else {}
            return Answer.of_json(
                {**asdict(shown.line), "words": list(shown.words), "record": shown.record, **cut}
            )
        write = partial(self._acts.write, who, act, self._desk.pipeline, shown.line.id)
        return self._purge(shown.line.id, write) if act == "purge" else self._retry(shown.line.id, write)

    def _overview(self) -> Answer:
        overview = self._desk.overview()
        body = {name: getattr(overview, name) for name in ("waiting", "examined", "damaged")}
        return Answer.of_json({**body, "reasons": [_of_reason(reason) for reason in overview.reasons]})

    def _purge(self, letter_id: str, write: Callable[[str], None]) -> Answer:
        write("asked")
        self._desk.purge(letter_id)
        write("purged")
        return Answer.of_json({"letter": letter_id, "outcome": "purged"})

    def _retry(self, letter_id: str, write: Callable[[str], None]) -> Answer:
        if self._ask_retry is None:
            command = told(f"{self._desk.pipeline} dlq retry", letter_id[:12])
            reason = (
                f"a letter of {self._desk.pipeline} cannot be tried while the stream runs, since nobody else "
                f"may write beside it: stop the stream, run {command}, and start the stream again"
            )
            return _told(HTTPStatus.CONFLICT, reason)
        write("asked")
        if not self._ask_retry(letter_id, partial(_write_end, write)):
            write("refused: too many wait")
            return _told(HTTPStatus.SERVICE_UNAVAILABLE, "too many letters wait to be tried; ask again later")
        body = {
            "letter": letter_id,
            "outcome": "it is tried after the running batch; the log of acts says how",
        }
        return Answer.of_json(body, HTTPStatus.ACCEPTED)


def _write_end(write: Callable[[str], None], outcome: str) -> None:
    """Write how a retry ended, which is done already whether that can be written or not."""
    try:
        write(outcome)
    except OSError as error:
        logger.warning("The log of acts cannot be written", reason=error.strerror)


def _of_reason(reason: Reason) -> dict[str, Any]:
    lines = [asdict(line) for line in reason.letters]
    times = {"oldest": reason.oldest, "newest": reason.newest}
    return {"reason": reason.name, "count": len(lines), **times, "letters": lines}


def _told(status: HTTPStatus, reason: str, headers: dict[str, str] | None = None) -> Answer:
    made = Answer.of_json({"error": status.phrase, **({"reason": reason} if reason else {})}, status)
    return Answer(made.status, made.content, made.content_type, headers or {})


def _digest(text: str) -> bytes:
    # Of equal length, so that the comparison does not tell the token's.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
