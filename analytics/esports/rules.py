"""Which matches and players count, and the columns they have: a record of Kafka is accepted, or refused.

Pure expressions of Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame

from analytics.esports.match_status import UNKNOWN, status_sql
from analytics.kafka_json import is_sound, parsed
from analytics.odd_json import is_id, is_odd, mended
from analytics.texts import is_float_sql, is_nothing_sql, trimmed_sql
from analytics.times import time_sql, usual_time_sql

# Field by field, in the order of the columns; the types are Spark's.
MATCH_FIELDS: Mapping[str, str] = {
    "match_id": "STRING",
    "game_id": "STRING",
    "platform_game_id": "STRING",
    "tournament_id": "STRING",
    "tournament_name": "STRING",
    "game_version": "STRING",
    "patch": "STRING",
    "team_1_id": "STRING",
    "team_1_name": "STRING",
    "team_2_id": "STRING",
    "team_2_name": "STRING",
    "winner_id": "STRING",
    "winner_name": "STRING",
    "match_duration": "INT",
    "team_1_kills": "INT",
    "team_1_gold": "INT",
    "team_1_towers": "INT",
    "team_2_kills": "INT",
    "team_2_gold": "INT",
    "team_2_towers": "INT",
    "game_number": "INT",
    "status": "STRING",
    "started_at": "TIMESTAMP",
    "finished_at": "TIMESTAMP",
    "match_type": "STRING",
    "data_source": "STRING",
    "ingestion_timestamp": "BIGINT",
}
PLAYER_FIELDS: Mapping[str, str] = {
    "player_id": "STRING",
    "summoner_name": "STRING",
    "game_name": "STRING",
    "tag_line": "STRING",
    "first_name": "STRING",
    "last_name": "STRING",
    "nickname": "STRING",
    "nationality": "STRING",
    "current_team_id": "STRING",
    "current_team_name": "STRING",
    "role": "STRING",
    "active": "BOOLEAN",
    "professional": "BOOLEAN",
    "total_games": "INT",
    "total_wins": "INT",
    "total_losses": "INT",
    "win_rate": "DOUBLE",
    "avg_kills": "DOUBLE",
    "avg_deaths": "DOUBLE",
    "avg_assists": "DOUBLE",
    "kda_ratio": "DOUBLE",
    "avg_cs_per_min": "DOUBLE",
    "avg_gold_per_min": "DOUBLE",
    "last_match_date": "TIMESTAMP",
    "profile_updated_at": "TIMESTAMP",
    "recent_form": "STRING",
    "data_source": "STRING",
    "ingestion_timestamp": "BIGINT",
}
# Where each row came from: no two rows of a dataset have the same.
ORIGIN_FIELDS: Mapping[str, str] = {
    "kafka_topic": "STRING",
    "kafka_partition": "INT",
    "kafka_offset": "BIGINT",
    "kafka_timestamp": "TIMESTAMP",
}
# As Spark's Kafka source names them, and its own columns beside the value.
KAFKA_SCHEMA = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"
_ORIGIN = [name.split()[0] for name in KAFKA_SCHEMA.split(", ")]
# No reason to refuse: `judge` has to look at the record.
ODD = "odd"
# Otherwise the optimizer parses only the fields that are used, and what is flawed would depend on them.
# And Java compiles no method longer than 8 000 bytes: Spark shall not join all steps to one.
SPARK_CONF = {
    "spark.sql.optimizer.enableJsonExpressionOptimization": "false",
    "spark.sql.codegen.hugeMethodLimit": "8000",
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """What one topic's records look like, and how the folder they become is partitioned.

    `partitions` are columns of the path, below `batch=…`, and not in the files.
    """

    name: str
    key: str
    fields: Mapping[str, str]
    partitions: tuple[str, ...]


MATCHES = Dataset("matches", "match_id", MATCH_FIELDS, ("status",))
PLAYERS = Dataset("players", "player_id", PLAYER_FIELDS, ("status", "role"))
DATASETS = (MATCHES, PLAYERS)

MAX_ROLE_LENGTH = 64
# The first and the last day of the calendar are none: a reader in another time zone could not show them.
_YEARS = "TIMESTAMP '0001-01-02' AND TIMESTAMP '9999-12-30'"


def judge(records: DataFrame, dataset: Dataset) -> DataFrame:
    """Judge `records` (KAFKA_SCHEMA): add `reason`, `noted`, the times and partitions of `dataset`, `record`.

    `reason` is null for a record that counts; where there is one, the other columns mean nothing. `record`
    has the fields as they came, of which `published` makes columns; times without an offset are UTC. `noted`
    has a line for each thing that a person should know of a record that counts, null without any.
    """
    read = records.selectExpr(*_ORIGIN, f"{mended(_types(dataset), dataset.key)} AS found")
    return _judged(read, "found.reason", time_sql, dataset)


def judge_usual(records: DataFrame, dataset: Dataset) -> DataFrame:
    """`judge` of the records in which nothing is odd, which is faster; the reason of the others is ODD."""
    types = _types(dataset)
    usual = f"{is_sound('found')} AND found.record IS NOT NULL"
    texts = [name for name, kind in dataset.fields.items() if kind == "STRING"]
    usual = f"{usual} AND NOT ({is_odd('found.record', texts, dataset.key)})"
    # As texts: made one by one, the columns would take Spark's bridge longer than a small batch takes.
    fields = ", ".join(f"{name}: {kind}" for name, kind in types.items())
    read = records.selectExpr(*_ORIGIN, f"{parsed(fields)} AS found")
    # Only the whole grammar of times can read it.
    is_odd_time = " OR ".join(map(_is_unread, _moments(dataset)))
    return _judged(read, f"IF({usual}, NULL, '{ODD}')", usual_time_sql, dataset, is_odd_time)


def _judged(
    read: DataFrame, flaw: str, time_of: Callable[[str], str], dataset: Dataset, is_odd_time: str = "false"
) -> DataFrame:
    """The columns of `judge` for records that were read as `found`; `time_of` makes a time of a text.

    A record in which `is_odd_time` holds is ODD.
    """
    times = [f"{time_of(f'found.record.{name}')} AS {name}" for name in _moments(dataset)]
    # From step to step a record is copied whole, which takes far less time than field by field.
    timed = read.selectExpr(*_ORIGIN, f"{flaw} AS flaw", "found.record AS record", *times)
    return timed.selectExpr(
        *_ORIGIN,
        _reason(dataset, is_odd_time),
        _noted(dataset),
        "record",
        *_moments(dataset),
        *_PARTITIONS[dataset.name],
    )


def published(dataset: Dataset) -> list[str]:
    """The columns of `dataset`'s files as Spark SQL on what `judge` returns, without ORIGIN_FIELDS.

    Texts stay as they came, but blank ones become null.
    """
    moments = _moments(dataset)
    names = [name for name in dataset.fields if name not in (*dataset.partitions, *moments)]
    columns = {name: f"{_value(name, dataset.fields[name])} AS {name}" for name in names}
    return [columns.get(name, name) for name in dataset.fields if name not in dataset.partitions]


def _value(name: str, kind: str = "STRING") -> str:
    value = f"record.{name}"
    # Nothing that can be seen begins with a character below the exclamation mark.
    return f"IF({value} < '!' AND {trimmed_sql(value)} = '', NULL, {value})" if kind == "STRING" else value


def _types(dataset: Dataset) -> dict[str, str]:
    """The types as which JSON is parsed; times are read by our own rule: Spark takes numbers for seconds."""
    return {name: "STRING" if kind == "TIMESTAMP" else kind for name, kind in dataset.fields.items()}


_PARTITIONS = {
    MATCHES.name: (f"{status_sql('record.status')} AS status",),
    PLAYERS.name: (
        (
            "CASE record.active WHEN true THEN 'active' WHEN false THEN 'inactive'"
            f" ELSE '{UNKNOWN}' END AS status"
        ),
        f"coalesce(nullif({trimmed_sql('record.role')}, ''), '{UNKNOWN}') AS role",
    ),
}


def rules(dataset: Dataset) -> dict[str, str]:
    """Returns each reason of `dataset` with its condition of Spark SQL, for records without a flaw of form.

    The first that holds names the refusal.
    """
    numbers = [f"record.{name}" for name, kind in dataset.fields.items() if kind == "DOUBLE"]
    key, role = f"record.{dataset.key}", _value("role")
    found = {
        f"missing_{dataset.key}": f"coalesce({key}, '') = '' OR {is_nothing_sql(key)}",
        **{f"invalid_{name}": _is_no_moment(name) for name in _moments(dataset)},
    }
    if numbers:
        found["number_not_finite"] = " OR ".join(f"abs({name}) = DOUBLE('infinity')" for name in numbers)
    if "role" in dataset.partitions:
        # It becomes the name of a folder.
        found["invalid_role"] = (
            rf"length({role}) > {MAX_ROLE_LENGTH} OR {role} RLIKE '\\p{{Cntrl}}'"
            f" OR {_folder_bytes('role', role)} > 255"
        )
    return found


def _folder_bytes(name: str, text: str) -> str:
    """The length of the folder's name for `text` in the column `name`.

    A character that a path may not have becomes `%` and two digits.
    """
    escaped = rf"regexp_count({text}, '[\"#%\'*/:=?\\\\{{\\[\\]^]')"
    return f"({len(name) + 1} + octet_length({text}) + 2 * {escaped})"


def _reason(dataset: Dataset, is_odd_time: str) -> str:
    cases = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in rules(dataset).items())
    return f"CASE WHEN flaw IS NOT NULL THEN flaw WHEN {is_odd_time} THEN '{ODD}' {cases} END AS reason"


def _noted(dataset: Dataset) -> str:
    """The column `noted`: it tells a status that is not known, and ids that went through floating point."""
    noted = {f"'{name} as a float'": is_float_sql(f"record.{name}") for name in dataset.fields if is_id(name)}
    if dataset is MATCHES:
        # On one line, whatever it holds.
        seen = r"regexp_replace(left(record.status, 40), '[\\s\\p{Cntrl}\\p{Zl}\\p{Zp}]+', ' ')"
        unknown = f"{_value('status')} IS NOT NULL AND {status_sql('record.status')} = '{UNKNOWN}'"
        noted[f"concat('status ', {seen})"] = unknown
    # There is mostly nothing, and one condition says so faster than many notes that are joined.
    lines = ", ".join(f"IF({condition}, {note}, NULL)" for note, condition in noted.items())
    return f"IF({' OR '.join(noted.values())}, concat_ws('\\n', {lines}), NULL) AS noted"


def _moments(dataset: Dataset) -> list[str]:
    return [name for name, kind in dataset.fields.items() if kind == "TIMESTAMP"]


def _is_no_moment(name: str) -> str:
    return f"({_is_unread(name)} AND {trimmed_sql(f'record.{name}')} <> '') OR {name} NOT BETWEEN {_YEARS}"


def _is_unread(name: str) -> str:
    return f"({name} IS NULL AND record.{name} <> '')"
