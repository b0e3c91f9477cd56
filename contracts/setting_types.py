"""The types of settings: what their text must be like, and which numbers they take."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from contracts import addresses, names, object_store, roles, secret_rules, setting_rules

# MongoDB, Spark and the calendar take numbers up to these bounds.
Positive = Annotated[int, Field(gt=0, le=10**9)]
Days = Annotated[int, Field(ge=0, le=10**5)]
PositiveSeconds = Annotated[float, Field(gt=0, le=10**6)]
NotNegative = Annotated[float, Field(ge=0, le=10**6)]
SecondsOrAuto = Annotated[int | Literal["auto"], BeforeValidator(setting_rules.seconds_or_auto)]
Port = Annotated[int, Field(ge=0, le=65_535)]
# Money, to the cent.
Amount = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=2)]

MongoUri = Annotated[SecretStr, AfterValidator(addresses.mongo_uri)]
PostgresDsn = Annotated[SecretStr, AfterValidator(addresses.postgres_dsn)]
HostPorts = Annotated[str, AfterValidator(addresses.host_ports)]
HttpAddress = Annotated[str, AfterValidator(addresses.http_address)]
HttpAddressIfAny = Annotated[str, AfterValidator(addresses.http_address_if_any)]
SecretAddress = Annotated[SecretStr, AfterValidator(addresses.secret_address)]

Headers = Annotated[SecretStr, AfterValidator(secret_rules.headers_text)]
HeaderValue = Annotated[SecretStr, AfterValidator(secret_rules.header_value)]
Password = Annotated[SecretStr, AfterValidator(secret_rules.long_enough)]
Token = Annotated[SecretStr, AfterValidator(secret_rules.long_token)]

Collection = Annotated[str, AfterValidator(setting_rules.own_collection)]
Currency = Annotated[str, AfterValidator(names.currency_code)]
QuietHours = Annotated[str, AfterValidator(setting_rules.quiet_hours)]
Roles = Annotated[str, AfterValidator(roles.roles_text)]
SourceNames = Annotated[str, AfterValidator(setting_rules.source_names)]
TablePlace = Annotated[str, AfterValidator(object_store.table_place)]
Topic = Annotated[str, AfterValidator(names.topic_name)]
Zone = Annotated[str, AfterValidator(setting_rules.known_zone)]
