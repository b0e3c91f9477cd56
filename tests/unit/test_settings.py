"""Settings: defaults, faults told together, secrets kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values

from commands.setting_names import unknown_keys
from contracts import ConfigurationError
from settings import Settings, load

ROOT = Path(__file__).parents[2]


def test_env_example_lists_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env.example` is the reference of settings: copied as it is, it changes nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    example = ROOT / ".env.example"
    assert set(dotenv_values(example)) == {name.upper() for name in Settings.model_fields}
    assert load(env_file=example) == load(env_file=None)


def test_all_faults_are_reported_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person mends everything in one go."""
    monkeypatch.setenv("BATCH_INTERVAL_SECONDS", "soon")
    monkeypatch.setenv("ANALYTICS_TIMEZONE", "Mars/Base")
    monkeypatch.setenv("MONGO_URI", "postgres://user:hunter2@host")
    with pytest.raises(ConfigurationError) as caught:
        load(env_file=None)
    message = str(caught.value)
    assert all(name in message for name in ("BATCH_INTERVAL_SECONDS", "ANALYTICS_TIMEZONE", "MONGO_URI"))
    assert "hunter2" not in message


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", str(10**30)])
def test_no_number_is_beyond_all_bounds(value: str) -> None:
    """Each would end in an error of the first calculation with it."""
    names = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
    assert len(names) > 30
    with pytest.raises(ConfigurationError) as caught:
        load(env_file=None, **dict.fromkeys(names, value))
    told = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in told] == [name.upper() for name in names]


@pytest.mark.parametrize("path", [r"C:\new", r"D:\temp"])
def test_a_path_whose_backslashes_became_control_characters_is_refused(path: str, tmp_path: Path) -> None:
    """In double quotes; a folder with a line end in its name was made. In single quotes they stay."""
    file = tmp_path / ".env"
    names = [name.upper() for name, value in load(env_file=None) if isinstance(value, Path)]
    file.write_text("".join(f'{name}="{path}"\n' for name in names))
    with pytest.raises(ConfigurationError) as caught:
        load(env_file=file)
    told = str(caught.value).splitlines()[1:]
    assert sorted(line.split(":")[0].strip() for line in told) == sorted(names)
    assert all("single quotes" in line for line in told)
    file.write_text("".join(f"{name}='{path}'\n" for name in names))
    assert str(load(env_file=file).dlq_directory) == path


def test_the_password_is_a_secret_and_never_shown() -> None:
    """Neither repr nor str of the settings shows the URI or the token."""
    settings = load(env_file=None, mongo_uri="mongodb://app:hunter2@localhost", service_token="t0ken")  # noqa: S106
    assert {"hunter2", "t0ken"} <= set(settings.secrets())
    for secret in ("hunter2", "t0ken"):
        assert secret not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("mongodb://u:pass@host:1/db?appName=a@b", "pass"),
        ("mongodb://u:p@ss@host:1,other:2/?tls=true", "p@ss"),
        ("mongodb://u:p/a?s@host/?tls=true", "p/a?s"),
        ("mongodb+srv://u:p%40ss@host/", "p%40ss"),
        ("mongodb://u:pass%40host:1/db", "pass"),
        ("mongodb://u:pass%40host:1/db?appName=a@b", "pass"),
        ("mongodb://u:pass", "pass"),
        ("mongodb://host:1,u:pass/db", "pass"),
        ("mongodb://host/?tls=true&tlsCertificateKeyFilePassword=key%2Fpass", "key/pass"),
        ("mongodb://host/?authMechanismProperties=A:b,AWS_SESSION_TOKEN:session", "session"),
    ],
)
def test_every_secret_of_an_address_is_known(address: str, secret: str) -> None:
    """Passwords with and without percent-encoding, and those that are options; in every kind of address."""
    assert secret in load(env_file=None, mongo_uri=address).secrets()
    rest = address.partition("://")[2]
    assert secret in load(env_file=None, postgres_dsn=f"postgresql://{rest}").secrets()
    assert secret in load(env_file=None, backend_api_url=f"http://{rest}").secrets()
    options = {"sasl.oauthbearer.jwks.endpoint.url": f"https://{rest}"}
    assert secret in load(env_file=None, kafka_options=options).secrets()


def test_what_can_be_no_address_and_no_header_is_told_at_the_start() -> None:
    """Not with the first event of the night; the token itself is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        load(env_file=None, backend_api_url="localhost:5000", service_token="a b\nc", health_port=70_000)  # noqa: S106
    for name in ("BACKEND_API_URL", "SERVICE_TOKEN", "HEALTH_PORT"):
        assert name in str(caught.value)
    assert "a b" not in str(caught.value)


def test_harmless_parts_of_an_address_are_no_secrets() -> None:
    """Or the logs would be masked to uselessness: `mongodb` is a common service name."""
    uri = (
        "mongodb://[::1]:1,host,other:27017/db?authMechanismProperties=SERVICE_NAME:mongodb&authSource=admin"
    )
    dsn = "postgresql://%2Fvar%2Frun/shop?connect_timeout=9"
    assert load(env_file=None, mongo_uri=uri, postgres_dsn=dsn).secrets() == []


def test_options_of_kafka_pass_under_kafkas_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment and `.env`; secret ones are known as such, and they are no unknown keys."""
    env = tmp_path / ".env"
    env.write_text("KAFKA_OPTION_SECURITY_PROTOCOL=SASL_SSL\nKAFKA_OPTION_SSL_KEY_PASSWORD=k3y\n")
    jaas = 'ScramLoginModule required username="app" password="hunter2";'
    monkeypatch.setenv("KAFKA_OPTION_SASL_JAAS_CONFIG", jaas)
    settings = load(env_file=env)
    assert settings.kafka_options == {
        "security.protocol": "SASL_SSL",
        "ssl.key.password": "k3y",
        "sasl.jaas.config": jaas,
    }
    assert {"k3y", "hunter2", jaas} <= set(settings.secrets())
    assert "SASL_SSL" not in settings.secrets()
    assert "hunter2" not in repr(settings)
    assert unknown_keys(env) == []


def test_secrets_of_receivers_are_known_and_names_are_none() -> None:
    """A key, a header that signs in, a password in an address; a tenant's name is shown as it is."""
    settings = load(
        env_file=None,
        openlineage_url="https://app:hunter2@lineage/below",
        openlineage_api_key="l1neage",
        otlp_headers="authorization=Bearer%20t0ken, x-scope-orgid=one,X-Api-Key=k3y%2Ck3y",
        otlp_endpoint="http://app:hunter3@otlp:4318",
    )
    secrets = settings.secrets()
    assert {"hunter2", "l1neage", "Bearer t0ken", "t0ken", "k3y,k3y", "hunter3"} <= set(secrets)
    assert "one" not in secrets
    shown = repr(settings)
    assert not any(secret in shown for secret in ("l1neage", "t0ken", "k3y"))


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a b=c", "a=b,", "a=%0Ab", "a=b\nc", "a=é"], ids=repr)
def test_what_can_be_no_header_of_otlp_is_told_at_the_start(text: str) -> None:
    """And not shown: it may be a secret."""
    with pytest.raises(ConfigurationError, match="OTLP_HEADERS: must be name=value") as caught:
        load(env_file=None, otlp_headers=text)
    assert text not in str(caught.value) or text == "a"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka_bootstrap_servers", "kafka"),
        ("kafka_bootstrap_servers", "user:secret@kafka:9092"),
        ("kafka_bootstrap_servers", "user:secret%40kafka:9092"),
        ("kafka_topic_matches", "a/b"),
        ("kafka_starting_offsets", "newest"),
    ],
)
def test_what_kafka_would_not_understand_is_told_at_the_start(name: str, value: str) -> None:
    """By the name of the setting."""
    with pytest.raises(ConfigurationError, match=name.upper()):
        load(env_file=None, **{name: value})


@pytest.mark.parametrize("name", ["kafka_topic_players", "kafka_topic_inventory", "kafka_topic_clients"])
def test_two_kinds_of_records_in_one_topic_are_told_at_the_start(name: str) -> None:
    """An invoice would be judged as a client without a name; a default counts as any other."""
    other = "kafka_topic_matches" if name.endswith("players") else "kafka_topic_sales"
    with pytest.raises(ConfigurationError, match=f"{name.upper()}.*{other.upper()}"):
        load(env_file=None, **{name: "a", other: "a"})
    with pytest.raises(ConfigurationError, match=name.upper()):
        load(env_file=None, **{other: type(load(env_file=None)).model_fields[name].default})
