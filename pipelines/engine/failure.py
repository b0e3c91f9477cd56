"""Says in the log what a batch, or a stream between two, died of."""

from __future__ import annotations

from typing import Any

from contracts import ServiceError
from surroundings.java_words import error_words, is_javas


def tell_failure(logger: Any, error: BaseException, held: str, stream: str = "") -> str:
    """Log `error` of `stream` by `logger` and return it as one line for the report.

    A ServiceError is a sentence for people already; of Spark's errors the innermost reason is told, all of it
    at DEBUG; any other has its traceback behind `held`, which says what becomes of the batch.
    """
    of = f"{stream}: " if stream else ""
    if isinstance(error, ServiceError):
        text = str(error)
        logger.error(f"{of}{text}")
    elif is_javas(error):
        text = error_words(error)
        logger.error(f"{held}. Spark says: {text}")
        logger.debug(f"{of}all that Spark says", exc_info=error)
    else:
        text = f"{type(error).__name__}: {error}"
        logger.error(held, exc_info=error)
    return text
