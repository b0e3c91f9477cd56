"""Checks for the pipelines that read Kafka: the connector's jars, the brokers, the topics."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial

from commands.checks.result import CheckResult, bounded, failed, ok, skipped, warning
from contracts import AccessDeniedError, UnavailableError
from pipelines.engine.kafka_connector import ARTIFACT, connector_folder
from settings import Settings
from sources.kafka_client import Topics, ask_topics, client_options

_ANSWER_SECONDS = 5.0
_CREATE = "kafka-topics.sh --bootstrap-server {servers} --create --topic {topic} (or correct {setting})"


def connector_jars(settings: Settings) -> CheckResult:
    """Check that Spark's Kafka connector is there, or will be fetched by the first start."""
    name = "Connector jars"
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return skipped(name, "under spark-submit they come with --packages")
    folder = connector_folder(settings)
    found = len(list(folder.glob("*.jar")))
    if list(folder.glob(f"{ARTIFACT}-*.jar")):
        return ok(name, f"{found} in {folder}")
    if folder.exists():
        remedy = f"Delete {folder}: the next start fetches them all."
        return failed(name, f"{folder} has {found} jars, but not {ARTIFACT}", remedy)
    remedy = "Let this machine reach Maven Central for the first start, or copy the folder from another one."
    return warning(name, f"not in {folder} yet: the first start fetches them", remedy)


def run(settings: Settings, topics: Mapping[str, str]) -> Iterator[CheckResult]:
    """Run all of these checks in order; `topics` has the pipeline's topics by the setting of each."""
    yield bounded("Connector jars", partial(connector_jars, settings))
    seen: list[Topics] = []
    yield bounded("Kafka", partial(reachable, settings, seen))
    if seen:
        yield topics_there(settings, topics, seen[0])
    else:
        yield skipped("Topics", "Kafka does not answer")


def reachable(settings: Settings, seen: list[Topics]) -> CheckResult:
    """Check that a broker answers, with the client that knows no Java; put its answer into `seen`."""
    servers = settings.kafka_bootstrap_servers
    options = client_options(settings.kafka_options)
    try:
        seen.append(ask_topics(servers, options, _ANSWER_SECONDS))
    except AccessDeniedError as error:
        return failed("Kafka", error.found, error.remedy)
    except UnavailableError as error:
        if options.left_out:
            names = ", ".join(options.left_out)
            return warning(
                "Kafka",
                f"{error}; asked without {names}, which only the pipeline's own client knows",
                "Start the pipeline to see whether it gets through.",
            )
        return failed(
            "Kafka", str(error), "Start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS and KAFKA_OPTION_…."
        )
    return ok("Kafka", f"{servers} answers, brokers: {seen[0].brokers}")


def topics_there(settings: Settings, topics: Mapping[str, str], seen: Topics) -> CheckResult:
    """Check that `topics` exist; give a remedy for each that does not."""
    missing = {setting: topic for setting, topic in topics.items() if topic not in seen.partitions}
    if missing:
        servers = settings.kafka_bootstrap_servers
        return failed(
            "Topics",
            f"{' and '.join(missing.values())} not found (or this user may not see them)",
            "\n".join(
                _CREATE.format(servers=servers, topic=topic, setting=setting)
                for setting, topic in missing.items()
            ),
        )
    return ok(
        "Topics", ", ".join(f"{topic} (partitions: {seen.partitions[topic]})" for topic in topics.values())
    )
