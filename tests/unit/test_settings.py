"""Settings: their sources, and the errors for wrong values."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from taskmill.domain.errors import ConfigurationError
from taskmill.domain.task_log import NOTHING
from taskmill.settings import Settings, effective, load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and none of the machine's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "DATA_DIR", "LOG_FORMAT", "LOG_LEVEL", "URL", "CONFIG_FILE"):
        monkeypatch.delenv(f"TASKMILL_{name}", raising=False)
    return tmp_path


def _source_of(settings: Settings, name: str) -> str:
    return {row.name: row.source for row in effective(settings)}[name]


def _value_of(settings: Settings, name: str) -> str:
    return {row.name: row.value for row in effective(settings)}[name]


def test_without_any_source_the_defaults_hold() -> None:
    settings = load()

    assert settings.database_url is None
    assert settings.api.port == 8000
    assert settings.lease.ttl_s == 15
    assert {row.source for row in effective(settings)} == {"default"}


def test_each_source_gives_way_to_the_stronger_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "taskmill.toml").write_text(
        "[worker]\nclaim_size = 1\npoll_s = 1\ngrace_s = 1\nconcurrency = 1\n"
    )
    (folder / ".env").write_text(
        "TASKMILL_WORKER__POLL_S=2\nTASKMILL_WORKER__GRACE_S=2\nTASKMILL_WORKER__CONCURRENCY=2\n"
    )
    monkeypatch.setenv("TASKMILL_WORKER__GRACE_S", "3")
    monkeypatch.setenv("TASKMILL_WORKER__CONCURRENCY", "3")

    worker = (settings := load(worker={"concurrency": 4})).worker

    assert (worker.claim_size, worker.poll_s, worker.grace_s, worker.concurrency) == (1, 2, 3, 4)
    names = ("CLAIM_SIZE", "POLL_S", "GRACE_S", "CONCURRENCY", "QUEUES")
    assert [_source_of(settings, f"TASKMILL_WORKER__{name}") for name in names] == [
        "taskmill.toml",
        ".env",
        "environment",
        "option",
        "default",
    ]


def test_an_option_that_was_not_given_leaves_the_other_sources_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKMILL_API__PORT", "9000")

    settings = load(database_url=None, api={"host": "0.0.0.0", "port": None})  # noqa: S104 - not bound

    assert (settings.api.host, settings.api.port) == ("0.0.0.0", 9000)  # noqa: S104 - not bound


def test_the_config_file_may_be_elsewhere_and_must_then_exist(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = folder / "other.toml"
    monkeypatch.setenv("TASKMILL_CONFIG_FILE", str(chosen))
    with pytest.raises(ConfigurationError, match=r"other\.toml can't be read"):
        load()

    chosen.write_text("log_level = 'debug'")

    assert load().log_level == "debug"


@pytest.mark.parametrize("text", ["a, b,", '["a","b"]'])
def test_a_list_is_comma_separated_or_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_WORKER__EXCLUSIVE_TYPES", text)

    assert load().worker.exclusive_types == ("a", "b")


@pytest.mark.parametrize("text", ["a, b=3,", '["a","b=3"]'])
def test_queues_may_have_weights(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_WORKER__QUEUES", text)

    settings = load()

    assert settings.worker.queues == {"a": 1, "b": 3}
    shown = {row.name: row.value for row in effective(settings)}
    assert shown["TASKMILL_WORKER__QUEUES"] == "a,b=3"


@pytest.mark.parametrize(
    "text", ["a=", "a=0", "a=-1", "a=x", "=3", "a=1001", "a=1.5", "A", '{"a": 1}']
)
def test_a_bad_weight_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_WORKER__QUEUES", text)

    with pytest.raises(ConfigurationError, match="TASKMILL_WORKER__QUEUES"):
        load()


@pytest.mark.parametrize("text", ["proxy.example.org", "10.0.0.0/33", "10.0.0", "*", "10.0.0.1:80"])
def test_a_trusted_proxy_is_a_network_or_an_address(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_API__TRUSTED_PROXIES", f"10.1.2.3/8, ::1, {text}")

    with pytest.raises(ConfigurationError, match=r"TRUSTED_PROXIES.*: expected networks or addr"):
        load()


@pytest.mark.parametrize("name", ["TASKMILL_API__TLS_CERT", "TASKMILL_API__TLS_KEY"])
def test_a_certificate_and_its_key_are_set_together(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "file.pem")

    with pytest.raises(ConfigurationError, match="certificate and key belong together"):
        load()


def test_an_empty_name_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_DATABASE_URL", "")

    assert load().database_url is None


def test_names_of_others_are_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILLER", "x")
    (folder / ".env").write_text("POSTGRES_PASSWORD=x\nAPI__PORT=1\n")

    assert load().api.port == 8000


def test_the_address_for_the_command_line_is_a_known_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_URL", "http://127.0.0.1:1")

    load()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("TASKMILL_API__PROT", "TASKMILL_API__PORT"),
        ("TASKMILL_DATABSE_URL", "TASKMILL_DATABASE_URL"),
        ("TASKMILL_WORKER_CONCURRENCY", "TASKMILL_WORKER__CONCURRENCY"),
        ("TASKMILL_URI", "TASKMILL_URL"),
    ],
)
def test_an_unknown_name_fails_with_the_nearest_known_one(
    name: str, nearest: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(f"{name}=1")
    with pytest.raises(ConfigurationError) as from_file:
        load()
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError) as from_environment:
        load()

    assert str(from_file.value) == f"{name} (.env) is not a setting; did you mean {nearest}?"
    assert str(from_environment.value).startswith(f"{name} (environment)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[api]\nprot = 1", r"api.prot \(taskmill.toml\) .* did you mean api.port\?"),
        ("zzzzzz = 1", "zzzzzz .* see `taskmill settings`"),
        ("api = {", "taskmill.toml can't be read"),
    ],
)
def test_a_wrong_config_file_is_an_error(text: str, message: str, folder: Path) -> None:
    (folder / "taskmill.toml").write_text(text)

    with pytest.raises(ConfigurationError, match=message):
        load()


def test_an_env_file_that_is_no_text_is_an_error(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match=r"\.env can't be read"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("API__PORT", "http", "expected a valid integer"),
        ("API__PORT", "65536", "less than or equal to 65535"),
        ("LOG_FORMAT", "xml", "expected 'auto', 'console' or 'json'"),
        ("WORKER__CONCURRENCY", "50001", "less than or equal to 50000"),
        ("WORKER__QUEUES", "[1", "expected a valid list"),
        ("LEASE__TTL_S", "0.5", "greater than or equal to 1"),
        ("RETRY__MAX_S", "inf", "finite"),
        ("RETRY__MAX_S", "1e10", "less than or equal to 1000000000"),
        ("MAINTENANCE__INTERVAL_S", "1e10", "less than or equal to 1000000000"),
        ("RETRY__FACTOR", "100000", "less than or equal to 100"),
        ("LEASE__TTL_S", "1e10", "less than or equal to 1000000000"),
        ("LIMITS__UNSERVED_TYPES", "3000000000", "less than or equal to 1000000000"),
        ("DATABASE__STATEMENT_TIMEOUT_S", "3000000", "less than or equal to 86400"),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_what_was_expected(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TASKMILL_{name}", value)

    with pytest.raises(ConfigurationError) as caught:
        load()

    message = str(caught.value)
    assert message.startswith(f"TASKMILL_{name}={value!r} (environment): ")
    assert expected in message


def test_every_number_has_a_largest_value() -> None:
    """Larger numbers fit neither PostgreSQL's integers and intervals nor Python's powers and times."""
    described = [
        kind
        for group in Settings.model_json_schema()["$defs"].values()
        for field in group.get("properties", {}).values()
        for kind in (field, *field.get("anyOf", ()))
        if kind.get("type") in {"integer", "number"}
    ]
    assert described
    assert [kind for kind in described if kind.get("maximum", 1e10) > 1e9] == []


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_API__PORT", "x")
    monkeypatch.setenv("TASKMILL_LEASE__TTL_S", "x")

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert len(str(caught.value).splitlines()) == 2


def test_delays_of_emulation_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="delay_min_s to be at most delay_max_s"):
        load(emulation={"delay_min_s": 11})


def test_a_bad_database_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_DATABASE_URL", "mysql://me:secret@host/db")

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert "expected postgresql://" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "BROKER_URL",
        "MAINTENANCE__DATABASE_URL",
        "OUTBOUND__PUSH_SIGNING_KEYS",
        "ROLES__APP_PASSWORD",
        "BROKER_USERS__INTAKE_PASSWORD",
        "BROKER_USERS__PRODUCERS",
    ],
)
def test_a_bad_secret_is_never_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TASKMILL_{name}", "hunter2 ?")

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert str(caught.value).startswith(f"TASKMILL_{name} (environment): expected")


@pytest.mark.parametrize(
    "names",
    [("taskmill",), ("taskmill_intake",), ("taskmill.tasks",), ("amq",), ("shop.eu", "shop")],
)
def test_no_producer_has_the_rights_of_another_user(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ",".join(f"{name}=hunter2-hunter2" for name in names)
    monkeypatch.setenv("TASKMILL_BROKER_USERS__PRODUCERS", given)

    with pytest.raises(ConfigurationError, match="expected names") as caught:
        load()

    assert "hunter2" not in str(caught.value)


def test_names_of_producers_may_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "shop=hunter2-hunter2,shop-eu=hunter2-hunter3,taskmillers=hunter2-hunter4"
    monkeypatch.setenv("TASKMILL_BROKER_USERS__PRODUCERS", given)

    assert set(load().broker_users.passwords()) == {"shop", "shop-eu", "taskmillers"}


@pytest.mark.parametrize("hosts", ["host:port", "host:99999", "me:secret@host:5x", "a:1,b:two"])
def test_a_database_url_with_a_bad_port_is_refused(hosts: str) -> None:
    with pytest.raises(ConfigurationError, match="expected postgresql://"):
        load(database_url=f"postgresql://{hosts}/db")


@pytest.mark.parametrize(
    "hosts", ["host", "host:5432", "me:a:b@host:", "a:1,b:2", "[::1]:1", "/db"]
)
def test_database_urls_with_ports_or_without_are_taken(hosts: str) -> None:
    url = f"postgresql://{hosts}/db?host=/a:b/socket"

    assert load(database_url=url).require_database_url() == url


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_other_tools_spellings_of_the_scheme_are_taken(scheme: str) -> None:
    settings = load(database_url=f"{scheme}://me@host/db")

    assert settings.require_database_url() == "postgresql://me@host/db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hidden@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql:///db?host=/run/pg&user=me", "postgresql:///db?host=/run/pg&user=me"),
        ("postgresql://h/db?password=hidden&a=b", "postgresql://h/db?password=***&a=b"),
        ("postgresql://me:hid@den@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:hidden?@host/db", "***"),
    ],
)
def test_a_password_is_masked_wherever_it_is(url: str, shown: str) -> None:
    settings = load(database_url=url)

    assert _value_of(settings, "TASKMILL_DATABASE_URL") == shown
    assert "hidden" not in repr(settings)


def test_a_missing_database_is_an_error_with_both_remedies() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)TASKMILL_DATABASE_URL.*taskmill up"):
        load().require_database_url()


def test_settings_cannot_be_changed_once_built() -> None:
    settings = load()

    with pytest.raises(ValidationError):
        settings.api.port = 1  # type: ignore[misc]  # what is tried here
    with pytest.raises(ValidationError):
        settings.log_level = "debug"  # type: ignore[misc]  # what is tried here


@pytest.mark.parametrize(
    ("url", "hint_queues", "queue_type"),
    [
        (None, "auto", "classic"),
        ("amqp://me:a,b@one:5672/", "auto", "classic"),
        ("amqp://one/v,host", "auto", "classic"),
        ("amqp://one?heartbeat=5,6", "auto", "classic"),
        ("amqp://one:5672,two:5672/", "auto", "quorum"),
        ("amqps://me:secret@one,two/vhost", "auto", "quorum"),
        ("amqp://one,two/", "classic", "classic"),
        ("amqp://one/", "quorum", "quorum"),
    ],
)
def test_hint_queues_are_quorum_queues_if_the_address_names_a_cluster(
    url: str | None, hint_queues: str, queue_type: str
) -> None:
    loaded = load(broker_url=url, hint_queues=hint_queues)
    assert loaded.hint_queue_type == queue_type


def test_a_level_of_lines_is_a_number_and_off_is_above_all() -> None:
    names = ("debug", "info", "warning", "error", "off")
    numbers = [load(task_log={"level": name}).task_log.least_level for name in names]
    assert numbers == [10, 20, 30, 40, NOTHING]
    assert NOTHING > logging.CRITICAL
