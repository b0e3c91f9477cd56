"""What the tests of the health pages' data share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from tests.support.analytics_documents import analytics_documents


@pytest.fixture(scope="package")
def documents() -> list[dict[str, Any]]:
    """The analytics of three people and the pattern user."""
    return analytics_documents(3, datetime.now(timezone.utc))
