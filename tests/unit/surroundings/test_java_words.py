"""The reason in pages of stacks, Java's and Python's."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException, PythonException

from surroundings.java_words import error_words, is_javas

_WRITE = """An error occurred while calling o95.parquet.
: org.apache.spark.SparkException: [FAILED] A task fails.
\tat org.apache.spark.Errors.x(Errors.scala:1)
Caused by: org.apache.spark.SparkException: Job aborted
\t... 21 more
Caused by: java.lang.UnsatisfiedLinkError: /tmp/libsnappyjava.so: failed to map segment
\t... 21 more
\tSuppressed: java.lang.NoClassDefFoundError: Could not initialize class org.xerial.snappy.Snappy
\tCaused by: java.lang.ExceptionInInitializerError: something else"""
_WORKER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/worker.py", line 3, in main
    raise ValueError("boom")
ValueError: boom

\tat org.apache.spark.api.python.x(PythonRunner.scala:1)"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_WRITE, "java.lang.UnsatisfiedLinkError: /tmp/libsnappyjava.so: failed to map segment"),
        (_WRITE.partition("Caused by")[0], "org.apache.spark.SparkException: [FAILED] A task fails."),
        (_WORKER, "ValueError: boom"),
        ("[PATH_NOT_FOUND] Path does not exist.\nsecond", "[PATH_NOT_FOUND] Path does not exist."),
        ("", "Py4JError"),
    ],
)  # fmt: skip
def test_the_innermost_reason_is_found(text: str, told: str) -> None:
    """Of an error in a batch as of one in a start."""
    assert error_words(Py4JError(text)) == told


@pytest.mark.parametrize(
    ("error", "of_java"),
    [
        (Py4JError("x"), True),
        (PySparkException("x"), True),
        (PythonException("x"), True),
        (ValueError(), False),
    ],
)
def test_errors_of_spark_are_known_by_where_they_come_from(error: Exception, of_java: bool) -> None:
    """Without importing Spark."""
    assert is_javas(error) is of_java
