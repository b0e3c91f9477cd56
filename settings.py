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

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts import ConfigurationError, effects
from contracts import setting_types as types
from contracts.health import PHONE_SOURCES, RESULTS_COLLECTION
from contracts.health_catalogue import read_metrics
from contracts.health_metrics import METRICS
from contracts.object_store import ObjectStore
from contracts.roles import ROLES, Role
from contracts.secret_values import secret_headers, secret_kafka_options, secrets_in_address
from contracts.setting_names import by_earlier_names, kafka_options
from contracts.spark import SparkStart
from env_file import read_env_file


class Settings(BaseSettings):
    """The values of all settings, frozen; `.env.example` explains each."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    mongo_uri: types.MongoUri = SecretStr("mongodb://localhost:27017")
    mongo_db_name: str = "health-metrics"
    analytics_collection: types.Collection = RESULTS_COLLECTION
    mongo_timeout_seconds: types.PositiveSeconds = 30.0
    dashboard_mongo_uri: types.MongoUri | None = None
    demo_mongo_uri: types.MongoUri | None = None
    manage_source_index: bool = True

    spark_app_name: str = "HealthMetricsAnalytics"
    spark_master: str = ""
    batch_interval_seconds: types.PositiveSeconds = 60.0
    checkpoint_location: Path = Path("./spark-checkpoints")
    cursor_store: Literal["file", "mongo"] = "file"
    cursor_lease_seconds: types.PositiveSeconds = 30.0
    poll_overlap_seconds: types.SecondsOrAuto = 60
    poll_wake: Literal["interval", "change_stream"] = "interval"
    max_batch_documents: types.Positive = 10_000
    max_users_per_piece: types.Positive = 1_000
    executors_from_users: types.Positive = 2_000
    executor_partition_users: types.Positive = 200
    executors_wait_seconds: types.PositiveSeconds = 600.0
    full_users_per_second: types.NotNegative = 0.0
    default_lookback_days: Annotated[int, Field(gt=0, le=10**6)] = 30
    max_batch_failures: types.Positive = 5
    analytics_timezone: types.Zone = "UTC"
    phone_sources: types.SourceNames = ",".join(PHONE_SOURCES)
    metric_catalogue: Path | None = None
    least_effects: str = ""

    dlq_directory: Path = Path("./dlq")
    dlq_max_attempts: types.Positive = 5
    dlq_retry_minutes: types.PositiveSeconds = 15.0
    dlq_keep_days: types.Days = 0
    log_directory: Path = Path("./logs")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = False
    whole_summary: bool = False
    log_keep_days: types.Days = 0
    acts_keep_days: types.Days = 0
    metrics_directory: Path = Path("./metrics")
    reconcile_interval_hours: types.NotNegative = 24.0
    reconcile_users_per_second: types.NotNegative = 200.0

    retry_attempts: types.Positive = 5
    retry_base_seconds: types.PositiveSeconds = 0.5
    retry_max_seconds: types.PositiveSeconds = 10.0

    backend_api_url: types.HttpAddress = "http://localhost:5000/api"
    service_token: types.HeaderValue = SecretStr("")
    notices_per_second: types.PositiveSeconds = 20.0
    notify_webhook_url: types.SecretAddress = SecretStr("")
    notify_webhook_secret: types.Token = Field(SecretStr(""), validate_default=True)
    notify_backend: bool = False
    notify_quiet_hours: types.QuietHours = ""

    openlineage_url: types.HttpAddressIfAny = ""
    openlineage_api_key: types.HeaderValue = SecretStr("")
    openlineage_namespace: str = "pulse"
    openlineage_seconds: types.NotNegative = 60.0
    otlp_endpoint: types.HttpAddressIfAny = ""
    otlp_headers: types.Headers = SecretStr("")
    otlp_seconds: types.PositiveSeconds = 60.0

    health_host: str = "127.0.0.1"
    health_port: types.Port = 5001

    postgres_dsn: types.PostgresDsn = SecretStr("postgresql://localhost:5432/ecommerce")
    postgres_wait_seconds: types.NotNegative = 60.0
    ecommerce_input_path: Path = Path("./data/incoming")
    ecommerce_interval_seconds: types.PositiveSeconds = 10.0
    ecommerce_max_files_per_trigger: types.Positive = 5
    ecommerce_read_files: Literal["keep", "archive", "delete"] = "keep"
    ecommerce_keep_days: types.Days = 0

    kafka_bootstrap_servers: types.HostPorts = "localhost:9092"
    kafka_starting_offsets: Literal["earliest", "latest"] = "earliest"
    kafka_max_offsets_per_trigger: types.Positive = 200_000
    kafka_wait_seconds: types.NotNegative = 60.0
    kafka_connector_path: Path = Path("./data/kafka-connector")
    kafka_topic_matches: types.Topic = "esports-matches"
    kafka_topic_players: types.Topic = "esports-players"
    esports_output_path: Path = Path("./data/processed")
    esports_delta_path: types.TablePlace = ""
    esports_interval_seconds: types.PositiveSeconds = 10.0

    aws_endpoint_url: types.HttpAddressIfAny = ""
    aws_region: str = ""
    aws_access_key_id: SecretStr = SecretStr("")
    aws_secret_access_key: SecretStr = SecretStr("")
    aws_session_token: SecretStr = SecretStr("")

    stock_db_name: str = "stock_management"
    kafka_topic_sales: types.Topic = "topic-raw-sales"
    kafka_topic_inventory: types.Topic = "topic-inventory-updates"
    kafka_topic_clients: types.Topic = "topic-clients"
    stock_cold_path: Path = Path("./data/stock")
    stock_cold_keep_days: types.Days = 0
    stock_sales_keep_days: types.Days = 0
    stock_interval_seconds: types.PositiveSeconds = 5.0
    stock_max_offsets_per_trigger: types.Positive = 20_000
    expiry_risk_days: types.Days = 7
    dead_stock_days: types.Days = 30
    revenue_threshold_promo: types.Amount = Decimal(10_000)
    revenue_threshold_silver: types.Amount = Decimal(10_000)
    revenue_threshold_gold: types.Amount = Decimal(20_000)
    currency: types.Currency = "EUR"
    accountant_password: types.Password = SecretStr("")
    sqlite_db_path: Path = Path("./stock_management.db")

    administrator_password: types.Password = SecretStr("")
    operator_password: types.Password = SecretStr("")
    dashboard_roles: types.Roles = ""
    letters_api_token: types.Token = SecretStr("")

    mcp_health_values: bool = False

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

    @field_validator("metric_catalogue")
    @classmethod
    def _of_metrics(cls, path: Path | None) -> Path | None:
        try:
            read_metrics(path)
        except ConfigurationError as error:
            raise ValueError(str(error).replace("\n", "\n    ")) from None
        return path

    @field_validator("least_effects")
    @classmethod
    def _of_known_metrics(cls, value: str, info: ValidationInfo) -> str:
        if "metric_catalogue" in info.data:
            effects.parse(value, read_metrics(info.data["metric_catalogue"]))
        return value

    @field_validator("notify_webhook_secret")
    @classmethod
    def _with_an_address(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        url = info.data.get("notify_webhook_url")
        if url is not None and url.get_secret_value() and not secret.get_secret_value():
            raise ValueError("is missing: what goes to NOTIFY_WEBHOOK_URL is signed with it")
        return secret

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
        return ObjectStore(self.aws_endpoint_url, self.aws_region, *keys)

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
                # The path of a webhook says who may post to it.
                found += [*secrets_in_address(text), *([text] if name == "notify_webhook_url" else [])]
            elif isinstance(value, SecretStr):
                found.append(text)
        found += secret_kafka_options(self._kafka_options)
        found += secret_headers(self.otlp_headers.get_secret_value())
        return [secret for secret in found if secret]


def load(env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Settings from `overrides`, the environment, then `env_file`.

    The catalogue of metrics that they name is in use from then on. Raises ConfigurationError that names every
    faulty variable and what it must be.
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
        settings = Settings(**{**in_file, **by_earlier_names(os.environ, written), **overrides})
    except ValidationError as error:
        faults = [f"  {str(item['loc'][0]).upper()}: {_remedy(item)}" for item in error.errors()]
        raise ConfigurationError(
            "Settings are wrong; correct them in the environment or .env:\n" + "\n".join(faults)
        ) from None
    METRICS.use(read_metrics(settings.metric_catalogue))
    settings._kafka_options = kafka_options({**written, **os.environ}) if options is None else options
    return settings


def _remedy(item: Any) -> str:
    # The faulty value itself may be a secret, so only the rule is told.
    return str(item["msg"]).removeprefix("Value error, ")
