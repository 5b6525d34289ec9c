"""Where commands find the broker and the database."""

import json
from pathlib import Path

import pytest

from taskmill.cli.addresses import settings_of, settings_to_run
from taskmill.domain.errors import ConfigurationError

SERVICE = {"amqp_url": "amqp://up:pw@127.0.0.1:5000/", "database_url": "postgresql:///up", "pid": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which a running `up` has written its addresses."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "BROKER_URL", "BROKER", "DATA_DIR", "CONFIG_FILE"):
        monkeypatch.delenv(f"TASKMILL_{name}", raising=False)
    data = tmp_path / ".taskmill"
    data.mkdir()
    (data / "service.json").write_text(json.dumps(SERVICE))
    return tmp_path


def test_the_service_that_runs_here_is_found() -> None:
    settings = settings_of(None, "broker_url", broker_url=None)
    assert settings.require_broker_url() == "amqp://up:pw@127.0.0.1:5000/"
    assert settings.require_database_url() == "postgresql:///up"


def test_an_option_wins_over_a_setting_and_a_setting_over_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKMILL_BROKER_URL", "amqp://set/")
    assert settings_of(None, "broker_url").require_broker_url() == "amqp://set/"
    assert (
        settings_of(None, "broker_url", broker_url="amqp://option/").require_broker_url()
        == "amqp://option/"
    )
    assert settings_of(None, "database_url").require_database_url() == "postgresql:///up"


def test_a_given_data_folder_is_the_one_that_counts(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    with pytest.raises(ConfigurationError, match="--broker-url"):
        settings_of(other, "broker_url").require_broker_url()
    (other / "service.json").write_text(json.dumps({"amqp_url": "amqp://other/"}))
    assert settings_of(other, "broker_url").require_broker_url() == "amqp://other/"


def test_without_a_broker_the_error_names_the_option_and_the_setting(folder: Path) -> None:
    service = {**SERVICE, "amqp_url": None}
    (folder / ".taskmill" / "service.json").write_text(json.dumps(service))
    with pytest.raises(ConfigurationError, match="TASKMILL_BROKER_URL"):
        settings_of(None, "broker_url").require_broker_url()


@pytest.mark.parametrize("content", ["{", "\0"])
def test_a_file_that_can_not_be_read_is_named(folder: Path, content: str) -> None:
    (folder / ".taskmill" / "service.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"service\.json"):
        settings_of(None, "database_url")


def test_a_role_runs_on_the_service_that_runs_here() -> None:
    settings = settings_to_run(None, database_url=None, worker={"app": "handlers:app"})
    assert settings.require_database_url() == "postgresql:///up"
    assert settings.require_broker_url() == "amqp://up:pw@127.0.0.1:5000/"
    assert settings.worker.app == "handlers:app"


def test_a_role_has_the_login_of_processes_and_maintenance_its_own(folder: Path) -> None:
    more = {
        "app_database_url": "postgresql://app@/up",
        "maintenance_database_url": "postgresql://m@/up",
    }
    (folder / ".taskmill" / "service.json").write_text(json.dumps({**SERVICE, **more}))
    settings = settings_to_run(None, database_url=None)
    assert settings.require_database_url() == "postgresql://app@/up"
    assert settings.maintenance.database_url is not None
    assert settings.maintenance.database_url.get_secret_value() == "postgresql://m@/up"


def test_a_role_with_a_database_of_its_own_takes_no_hints_about_the_tasks_of_another() -> None:
    settings = settings_to_run(None, database_url="postgresql:///own")
    assert settings.require_database_url() == "postgresql:///own"
    assert settings.broker_url is None


def test_a_role_for_an_up_elsewhere_needs_its_data_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    with pytest.raises(ConfigurationError) as refused:
        settings_to_run(None, database_url=None)
    assert f"no `taskmill up` runs with the data folder {project}/.taskmill" in str(refused.value)
    assert "--data DIR" in str(refused.value)
    assert "TASKMILL_DATABASE_URL" in str(refused.value)

    settings = settings_to_run(folder / ".taskmill", database_url=None)
    assert settings.require_database_url() == "postgresql:///up"
    assert settings.require_broker_url() == "amqp://up:pw@127.0.0.1:5000/"


def test_a_broker_that_is_given_needs_no_up(folder: Path) -> None:
    settings = settings_of(folder / "nothing", "broker_url", broker_url="amqp://option/")
    assert settings.require_broker_url() == "amqp://option/"
    with pytest.raises(ConfigurationError, match="no broker is set, and no `taskmill up` runs"):
        settings_of(folder / "nothing", "broker_url")
