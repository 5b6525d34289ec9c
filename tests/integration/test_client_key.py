"""The key of commands and clients: where it comes from, who gets it, and the one of `up`."""

import json
import stat
from asyncio import to_thread
from pathlib import Path

import pytest

from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.refusals import NotAuthenticated, ScopeMissing
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.errors import ConfigurationError
from taskmill.embedded.admin_key import ensure_admin_key, make_keys
from taskmill.settings import Settings, load
from taskmill.settings.client_key import ADMIN_KEY_FILE, client_key
from taskmill.storage.api_keys import all_keys, revoke
from taskmill.storage.key_file import NAME as SECRETS_KEY, read_keys
from tests.support.api import serving
from tests.support.api_keys import REQUIRED, a_new_key
from tests.support.migrating import run_module
from tests.support.stage import Stage

URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an `up` that serves at `URL`, in the folder of the test."""
    for name in ("TASKMILL_API_KEY", "TASKMILL_API_KEY_FILE", "TASKMILL_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    data = tmp_path / ".taskmill"
    data.mkdir()
    (data / "service.json").write_text(json.dumps({"url": URL}))
    (data / ADMIN_KEY_FILE).write_text("tm_of_up\n")
    return data


def test_the_key_of_the_up_that_serves_there_is_found(folder: Path) -> None:
    assert client_key(URL) == client_key(URL + "/") == "tm_of_up"
    (folder / ADMIN_KEY_FILE).unlink()
    assert client_key(URL) is None


def test_no_other_service_gets_the_key_of_up(folder: Path) -> None:
    assert client_key("http://127.0.0.1:8001") is None
    assert client_key("https://tasks.example.org") is None
    (folder / "service.json").write_text("[]")
    assert client_key(URL) is None
    (folder / "service.json").unlink()
    assert client_key(URL) is None


def test_another_data_folder_is_a_setting(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = folder.rename(tmp_path / "elsewhere")
    assert client_key(URL) is None
    monkeypatch.setenv("TASKMILL_DATA_DIR", str(moved))
    assert client_key(URL) == "tm_of_up"


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "some.key"
    file.write_text("tm_of_file\n")
    monkeypatch.setenv("TASKMILL_API_KEY_FILE", str(file))
    assert client_key(URL) == client_key("https://tasks.example.org") == "tm_of_file"
    monkeypatch.setenv("TASKMILL_API_KEY", "tm_of_variable")
    assert client_key(URL) == "tm_of_variable"
    assert load().auth == "auto", "they are no settings"


def test_a_file_that_can_not_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"TASKMILL_API_KEY_FILE=.*none can't be read"):
        client_key(URL)


@pytest.mark.parametrize("key", ["", "two words", "tm_\n", "ключ"])
def test_what_can_not_be_a_key_is_refused_without_showing_it(key: str) -> None:
    for kind in (TaskmillClient, AsyncTaskmillClient):
        with pytest.raises(ValueError, match="api_key: expected") as raised:
            kind(URL, api_key=key)
        assert not key or key not in str(raised.value)


async def test_a_client_sends_its_key_with_every_request(stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read queue=mail")
    async with serving(stage.service, REQUIRED) as served:
        async with AsyncTaskmillClient(served.url, api_key=key.text) as client:
            task = await client.create("a", queue="mail")
            assert (await client.get(task.id)).id == task.id
            with pytest.raises(ScopeMissing) as raised:
                await client.cancel(task.id)
            assert raised.value.scope == "tasks:operate"
        async with AsyncTaskmillClient(served.url) as client:
            with pytest.raises(NotAuthenticated):
                await client.get(task.id)


def test_up_makes_a_key_once_and_again_when_it_is_not_valid(stage_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=stage_url, data_dir=tmp_path)
    file = ensure_admin_key(settings)
    first = file.read_text()
    assert file == tmp_path / ADMIN_KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ensure_admin_key(settings).read_text() == first
    for damaged in ("nonsense", first.replace("tm_live_", "tm_test_")):
        file.write_text(damaged)
        ensure_admin_key(settings)
        assert file.read_text().startswith("tm_live_")
        assert file.read_text() != first


async def test_a_revoked_key_of_up_is_replaced(stage: Stage, tmp_path: Path) -> None:
    settings = Settings(database_url=stage.url, data_dir=tmp_path)
    first = (await to_thread(ensure_admin_key, settings)).read_text()
    [made] = await all_keys(stage.database)
    assert str(made.draft.grants[0]) == "admin"
    await revoke(stage.owner_database, made.id)
    assert (await to_thread(ensure_admin_key, settings)).read_text() != first


def contents(folder: Path) -> dict[str, str]:
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    return {file.name: file.read_text() for file in folder.iterdir()}


async def test_migrate_makes_the_keys_once(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "some" / "keys"
    monkeypatch.setenv("TASKMILL_DATA_DIR", str(data))
    migrating = (stage.url, "taskmill", "migrate", "--keys")
    done = await to_thread(run_module, *migrating)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.endswith(f"The keys are in {data}.\n")
    made = contents(data)
    assert made.keys() == {ADMIN_KEY_FILE, SECRETS_KEY}
    assert len(read_keys(data / SECRETS_KEY)) == 1
    [key] = await all_keys(stage.database)
    assert key.draft.name.startswith("migrate-")
    assert list(map(str, key.draft.grants)) == ["admin"]
    assert key.id in made[ADMIN_KEY_FILE]
    assert (await to_thread(run_module, *migrating)).returncode == 0
    assert contents(data) == made
    assert len(await all_keys(stage.database)) == 1


def test_keys_that_can_not_be_written_are_an_error(stage_url: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    settings = Settings(database_url=stage_url, data_dir=tmp_path / "a")
    with pytest.raises(ConfigurationError, match=r"can't make .*/a: File exists"):
        make_keys(settings)
