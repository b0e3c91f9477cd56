"""Every setting of the service, read once from the environment and `.env`; nothing else reads either.

`load()` reports all faults in one `ConfigurationError`, so that a person mends them in one go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts import ConfigurationError, addresses, effects
from contracts.health import CHECKPOINT_COLLECTION, PHONE_SOURCES, RESULTS_COLLECTION, SOURCE_COLLECTION
from contracts.names import currency_code, topic_name
from contracts.object_store import ObjectStore, table_place
from contracts.roles import ROLES, Role, roles_text
from contracts.secret_rules import header_value, long_enough, long_token
from contracts.secret_values import secret_kafka_options, secrets_in_address
from contracts.spark import SparkStart
from env_file import read_env_file

# MongoDB, Spark and the calendar take numbers up to these bounds.
Positive = Annotated[int, Field(gt=0, le=10**9)]
Days = Annotated[int, Field(ge=0, le=10**5)]
PositiveSeconds = Annotated[float, Field(gt=0, le=10**6)]
NotNegative = Annotated[float, Field(ge=0, le=10**6)]
# Money, to the cent.
Amount = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=2)]

# What settings were called before; the old names go with the next release.
EARLIER_NAMES = {
    "EVENTS_PER_SECOND": "NOTICES_PER_SECOND",
    "HEALTH_CHECK_HOST": "HEALTH_HOST",
    "HEALTH_CHECK_PORT": "HEALTH_PORT",
}
# KAFKA_OPTION_SSL_KEY_PASSWORD is Kafka's ssl.key.password.
KAFKA_OPTION = "KAFKA_OPTION_"


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error
    return name


def _own_collection(name: str) -> str:
    # The service deletes what it did not compute itself from the collection it writes to.
    if name in (SOURCE_COLLECTION, CHECKPOINT_COLLECTION) or name.startswith("system.") or "$" in name:
        raise ValueError(
            f"{name!r} cannot hold results: choose a collection that only this service writes to"
        )
    return name


def _source_names(value: str) -> str:
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise ValueError("must be one or more names as documents have them in `source`, separated by commas")
    return ",".join(names)


class Settings(BaseSettings):
    """The values of all settings, frozen; `.env.example` explains each."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    mongo_uri: Annotated[SecretStr, AfterValidator(addresses.mongo_uri)] = SecretStr(
        "mongodb://localhost:27017"
    )
    mongo_db_name: str = "health-metrics"
    analytics_collection: Annotated[str, AfterValidator(_own_collection)] = RESULTS_COLLECTION
    mongo_timeout_seconds: PositiveSeconds = 30.0
    dashboard_mongo_uri: Annotated[SecretStr, AfterValidator(addresses.mongo_uri)] | None = None
    manage_source_index: bool = True

    spark_app_name: str = "HealthMetricsAnalytics"
    spark_master: str = ""
    batch_interval_seconds: PositiveSeconds = 60.0
    checkpoint_location: Path = Path("./spark-checkpoints")
    cursor_store: Literal["file", "mongo"] = "file"
    cursor_lease_seconds: PositiveSeconds = 30.0
    poll_overlap_seconds: Annotated[int, Field(ge=0, le=10**9)] = 60
    max_batch_documents: Positive = 10_000
    max_users_per_piece: Positive = 1_000
    executors_from_users: Positive = 2_000
    executor_partition_users: Positive = 200
    executors_wait_seconds: PositiveSeconds = 600.0
    full_users_per_second: NotNegative = 0.0
    default_lookback_days: Annotated[int, Field(gt=0, le=10**6)] = 30
    max_batch_failures: Positive = 5
    analytics_timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    phone_sources: Annotated[str, AfterValidator(_source_names)] = ",".join(PHONE_SOURCES)
    least_effects: Annotated[str, AfterValidator(effects.checked)] = effects.DEFAULT

    dlq_directory: Path = Path("./dlq")
    dlq_max_attempts: Positive = 5
    dlq_retry_minutes: PositiveSeconds = 15.0
    dlq_keep_days: Days = 0
    log_directory: Path = Path("./logs")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = False
    whole_summary: bool = False
    log_keep_days: Days = 0
    metrics_directory: Path = Path("./metrics")
    sweep_interval_hours: NotNegative = 0.0
    reconcile_interval_hours: NotNegative = 24.0

    retry_attempts: Positive = 5
    retry_base_seconds: PositiveSeconds = 0.5
    retry_max_seconds: PositiveSeconds = 10.0

    backend_api_url: Annotated[str, AfterValidator(addresses.http_address)] = "http://localhost:5000/api"
    service_token: Annotated[SecretStr, AfterValidator(header_value)] = SecretStr("")
    notices_per_second: PositiveSeconds = 20.0

    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65_535)] = 5001

    postgres_dsn: Annotated[SecretStr, AfterValidator(addresses.postgres_dsn)] = SecretStr(
        "postgresql://localhost:5432/ecommerce"
    )
    postgres_wait_seconds: NotNegative = 60.0
    ecommerce_input_path: Path = Path("./data/incoming")
    ecommerce_interval_seconds: PositiveSeconds = 10.0
    ecommerce_max_files_per_trigger: Positive = 5
    ecommerce_read_files: Literal["keep", "archive", "delete"] = "keep"
    ecommerce_keep_days: Days = 0

    kafka_bootstrap_servers: Annotated[str, AfterValidator(addresses.host_ports)] = "localhost:9092"
    kafka_starting_offsets: Literal["earliest", "latest"] = "earliest"
    kafka_max_offsets_per_trigger: Positive = 200_000
    kafka_wait_seconds: NotNegative = 60.0
    kafka_connector_path: Path = Path("./data/kafka-connector")
    kafka_topic_matches: Annotated[str, AfterValidator(topic_name)] = "esports-matches"
    kafka_topic_players: Annotated[str, AfterValidator(topic_name)] = "esports-players"
    esports_output_path: Path = Path("./data/processed")
    esports_delta_path: Annotated[str, AfterValidator(table_place)] = ""
    esports_interval_seconds: PositiveSeconds = 10.0

    aws_endpoint_url: Annotated[str, AfterValidator(addresses.http_address)] | None = None
    aws_region: str = ""
    aws_access_key_id: SecretStr = SecretStr("")
    aws_secret_access_key: SecretStr = SecretStr("")
    aws_session_token: SecretStr = SecretStr("")

    stock_db_name: str = "stock_management"
    kafka_topic_sales: Annotated[str, AfterValidator(topic_name)] = "topic-raw-sales"
    kafka_topic_inventory: Annotated[str, AfterValidator(topic_name)] = "topic-inventory-updates"
    kafka_topic_clients: Annotated[str, AfterValidator(topic_name)] = "topic-clients"
    stock_cold_path: Path = Path("./data/stock")
    stock_cold_keep_days: Days = 0
    stock_sales_keep_days: Days = 0
    stock_interval_seconds: PositiveSeconds = 5.0
    stock_max_offsets_per_trigger: Positive = 20_000
    expiry_risk_days: Days = 7
    dead_stock_days: Days = 30
    revenue_threshold_promo: Amount = Decimal(10_000)
    revenue_threshold_silver: Amount = Decimal(10_000)
    revenue_threshold_gold: Amount = Decimal(20_000)
    currency: Annotated[str, AfterValidator(currency_code)] = "EUR"
    accountant_password: Annotated[SecretStr, AfterValidator(long_enough)] = SecretStr("")
    sqlite_db_path: Path = Path("./stock_management.db")

    administrator_password: Annotated[SecretStr, AfterValidator(long_enough)] = SecretStr("")
    operator_password: Annotated[SecretStr, AfterValidator(long_enough)] = SecretStr("")
    dashboard_roles: Annotated[str, AfterValidator(roles_text)] = ""
    letters_api_token: Annotated[SecretStr, AfterValidator(long_token)] = SecretStr("")

    fault: str = ""

    _kafka_options: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("*")
    @classmethod
    def _without_control(cls, value: Any) -> Any:
        """In double quotes the backslashes of C:\\new\\temp are a line end and a tab."""
        if isinstance(value, Path) and re.search(r"[\x00-\x1f\x7f]", str(value)):
            raise ValueError("holds control characters: put a path with backslashes in single quotes")
        return value

    @field_validator(
        "kafka_topic_players", "kafka_topic_sales", "kafka_topic_inventory", "kafka_topic_clients"
    )
    @classmethod
    def _of_its_own(cls, topic: str, info: ValidationInfo) -> str:
        for name, other in info.data.items():
            if name.startswith("kafka_topic_") and other == topic:
                raise ValueError(f"is the topic of {name.upper()} too; each of them needs one of its own")
        return topic

    @property
    def kafka_options(self) -> Mapping[str, str]:
        """Options for Kafka's clients under Kafka's own names, as KAFKA_OPTION_… give; some are secret."""
        return self._kafka_options

    @property
    def spark(self) -> SparkStart:
        """What a session is started with."""
        return SparkStart(self.spark_app_name, self.spark_master, self.executors_wait_seconds)

    @property
    def object_store(self) -> ObjectStore:
        """How the store of s3://… is asked."""
        keys = (self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token)
        return ObjectStore(self.aws_endpoint_url or "", self.aws_region, *keys)

    @property
    def sources_of_phones(self) -> tuple[str, ...]:
        """The names in PHONE_SOURCES."""
        return tuple(self.phone_sources.split(","))

    @property
    def passwords(self) -> Mapping[Role, str]:
        """The passwords of the dashboard's roles; "" for one that has none."""
        return {role: getattr(self, f"{role}_password").get_secret_value() for role in ROLES}

    def secrets(self) -> list[str]:
        """Values that must never be printed: every SecretStr, and what is secret in any address."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            if "://" in text:
                found += secrets_in_address(text)
            elif isinstance(value, SecretStr):
                found.append(text)
        found += secret_kafka_options(self._kafka_options)
        return [secret for secret in found if secret]


def load(env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Settings from `overrides`, the environment, then `env_file`.

    Raises ConfigurationError that names every faulty variable and what it must be.
    """
    options = overrides.pop("kafka_options", None)
    written = read_env_file(env_file).values()
    around = {name.lower() for name, value in os.environ.items() if value}
    in_file = {
        name.lower(): value
        for name, value in written.items()
        if value and name.lower() in Settings.model_fields and name.lower() not in around
    }
    try:
        settings = Settings(**{**in_file, **_by_earlier_names(written), **overrides})
    except ValidationError as error:
        faults = [f"  {str(item['loc'][0]).upper()}: {_remedy(item)}" for item in error.errors()]
        raise ConfigurationError(
            "Settings are wrong; correct them in the environment or .env:\n" + "\n".join(faults)
        ) from None
    settings._kafka_options = _given_kafka_options(written) if options is None else options
    return settings


def _by_earlier_names(written: Mapping[str, str | None]) -> dict[str, Any]:
    """Values under an earlier name that neither the same place nor a nearer one has under the new one."""
    places = (os.environ, written)
    found: dict[str, Any] = {}
    for earlier, name in EARLIER_NAMES.items():
        nearest = next((place for place in places if place.get(earlier) or place.get(name)), {})
        if not nearest.get(name) and nearest.get(earlier):
            found[name.lower()] = nearest[earlier]
    return found


def _given_kafka_options(written: Mapping[str, str | None]) -> dict[str, str]:
    given = {**written, **os.environ}
    return {
        name[len(KAFKA_OPTION) :].lower().replace("_", "."): value
        for name, value in given.items()
        if name.upper().startswith(KAFKA_OPTION) and value
    }


def _remedy(item: Any) -> str:
    # The faulty value itself may be a secret, so only the rule is told.
    return str(item["msg"]).removeprefix("Value error, ")
