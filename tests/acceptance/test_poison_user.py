"""A user whose data kill the process: found over restarts, set aside, and everybody else is served."""

from __future__ import annotations

import signal
from datetime import datetime, timezone

from bson import ObjectId

from tests.support.compare import assert_same_analytics
from tests.support.job import HealthJob
from tests.support.reference import reference_analytics

USERS = 3
# One failed batch; then halves of 3 with 1 or 2 in them, at worst one after the other, and the last goes on.
MOST_STARTS = 1 + 2 + 1 + 1


def _assert_others_equal_reference(job: HealthJob, poison: ObjectId) -> None:
    documents = list(job.database["healthmetrics"].find({"userId": {"$ne": poison}}))
    expected = reference_analytics(documents, "UTC", datetime.now(timezone.utc).date())
    assert expected
    assert_same_analytics(list(job.database["analytics"].find()), expected)


def test_a_user_who_kills_the_process_is_isolated_and_the_rest_goes_on(job: HealthJob) -> None:
    """As a service manager would, the job is started again each time it dies; it finds him by itself.

    Afterwards his changes hold up nobody, and once the cause is mended `dlq retry` brings him back.
    """
    source = job.database["healthmetrics"]
    users = sorted(source.distinct("userId", {"userId": {"$type": "objectId"}}))[:USERS]
    source.delete_many({"userId": {"$nin": users}})
    poison = users[1]
    settings = {"MAX_BATCH_FAILURES": "1", "FAULT": f"compute:kill:user={poison}"}
    ends: list[int] = []
    while not ends or ends[-1] == -signal.SIGKILL:
        assert len(ends) < MOST_STARTS, job.output()
        ends.append(job.run("--once", **settings))
    assert ends[-1] == 0, job.output()
    assert len(ends) >= 3
    assert f"User {poison} makes the computation fail and is set aside" in job.output()
    letters = [path.read_text() for path in (job.folder / "dlq").glob("analytics_dlq_*.json")]
    assert sum("computation_failed" in letter and str(poison) in letter for letter in letters) == 1
    _assert_others_equal_reference(job, poison)
    assert job.run("dlq", "retry") == 0, job.output()
    job.assert_equals_reference()
