"""Which of MongoDB's errors are tried again, and which end the job."""

from __future__ import annotations

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from sinks.mongo_errors import denial, is_transient_mongo


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("reset"),
        NetworkTimeout("timed out"),
        ServerSelectionTimeoutError("no server"),
        NotPrimaryError("not primary", {"code": 10107}),
        ExecutionTimeout("exceeded time limit", 50),
        OperationFailure("shutting down", 91),
        OperationFailure("cursor id not found", 43),
        OperationFailure("out of disk space", 14031),
        OperationFailure("deadlock detected", 16908292),
        BulkWriteError({"writeErrors": [{"index": 0, "code": 112}]}),
    ],
)
def test_what_passes_by_itself_is_tried_again(error: PyMongoError) -> None:
    """Networks, elections, restarts, conflicts, time-outs, a server's full disk."""
    assert is_transient_mongo(error)
    assert denial(error) is None


@pytest.mark.parametrize("error", [OperationFailure("bad value", 2), WriteConcernError("no replication", 2)])
def test_other_refusals_are_neither_repeated_nor_final(error: PyMongoError) -> None:
    """The batch fails and is counted; the job lives."""
    assert not is_transient_mongo(error)
    assert denial(error) is None


@pytest.mark.parametrize("code", [11, 13, 18, 8000])
def test_a_refused_user_ends_the_job_with_one_sentence(code: int) -> None:
    """No retry; the remedy is named, what the server said about user and address is not."""
    error = OperationFailure("user hunter2 at db-7.internal is not allowed", code)
    assert not is_transient_mongo(error)
    sentence = denial(error)
    assert sentence is not None
    assert "MONGO_" in sentence
    assert "hunter2" not in sentence
