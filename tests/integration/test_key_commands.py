"""`taskmill key`: keys are made, listed, rotated and revoked in the database, and printed once."""

import asyncio
import json
import re
import stat
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest

from taskmill.domain.api_key_errors import ApiKeyLimitReached
from taskmill.domain.api_keys import ApiKeyDraft, parse_key, secret_hash
from taskmill.domain.grants import Grant
from taskmill.operations import api_keys
from taskmill.storage.database import Database
from taskmill.storage.rights import APP
from tests.support.commands import Taskmill, taskmill
from tests.support.roles import as_role
from tests.support.stage import SETTINGS

__all__ = ["taskmill"]


class Keys:
    """The commands on one database."""

    def __init__(self, run: Taskmill, url: str) -> None:
        self._run = run
        self._url = url

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return self._run("key", *arguments, "--database-url", self._url)

    def made(self, *arguments: str) -> str:
        """The key that a command has printed."""
        status, out, err = self(*arguments)
        assert status == 0, err
        return out.strip()

    def listed(self) -> list[dict[str, object]]:
        return list(map(orjson.loads, self("list", "--json")[1].splitlines()))

    def fetched(self, query: str) -> list[asyncpg.Record]:
        async def rows() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self._url)
            try:
                return await connection.fetch(query)
            finally:
                await connection.close()

        return asyncio.run(rows())


def test_only_the_login_that_migrates_may_make_keys(taskmill: Taskmill, stage_url: str) -> None:
    keys = Keys(taskmill, as_role(stage_url, APP))
    status, out, err = keys("create", "billing", "--grant", "admin")
    assert (status, out) == (1, "")
    assert (
        err
        == "Error: permission denied for table api_key: use the login that migrates (--database-url)\n"
    )
    assert keys.listed() == []


@pytest.fixture
def keys(taskmill: Taskmill, stage_url: str) -> Keys:
    return Keys(taskmill, stage_url)


def test_a_key_is_printed_alone_and_once(keys: Keys) -> None:
    status, out, err = keys("create", "billing", "--grant", "tasks:create queue=billing.*")
    assert status == 0
    parsed = parse_key(out.removesuffix("\n"))
    assert parsed is not None
    assert out.startswith("tm_live_")
    assert parsed.secret not in err
    assert f"{parsed.id} is valid until it is revoked; the key is not shown again" in err
    for command in (
        ("list",),
        ("list", "--json"),
        ("show", "billing"),
        ("show", parsed.id, "--json"),
    ):
        shown = keys(*command)[1]
        assert parsed.id in shown
        assert parsed.secret not in shown


def test_only_the_hash_of_the_secret_is_stored(keys: Keys) -> None:
    parsed = parse_key(keys.made("create", "billing", "--grant", "admin"))
    assert parsed is not None
    [row] = keys.fetched("SELECT secret_hash, k::text AS everything FROM taskmill.api_key AS k")
    assert row["secret_hash"] == secret_hash(parsed.secret)
    assert parsed.secret not in row["everything"]


def test_what_was_asked_for_is_stored(keys: Keys) -> None:
    keys.made(
        *("create", "mailer", "--grant", "worker queue=mail type=send-*", "--grant", "metrics"),
        *(
            "--network",
            "10.0.0.0/8",
            "--network",
            "::1",
            *("--quota", "queues=20", "--quota", "streams=0"),
            "--expires",
            "90d",
            "--description",
            "Sends.",
        ),
    )
    [found] = keys.listed()
    times = [datetime.fromisoformat(str(found.pop(name))) for name in ("expires_at", "created_at")]
    assert times[0] - times[1] == timedelta(days=90)
    assert len(str(found.pop("id"))) == 16
    assert found == {
        "name": "mailer",
        "state": "live",
        "description": "Sends.",
        "grants": ["worker queue=mail type=send-*", "metrics"],
        "networks": ["10.0.0.0/8", "::1/128"],
        "quotas": ["queues=20", "streams=0"],
        "revoked_at": None,
        "last_used_at": None,
    }
    shown = keys("show", "mailer")[1]
    assert "grant        worker queue=mail type=send-*\ngrant        metrics\n" in shown
    assert "quota        queues=20\nquota        streams=0\n" in shown
    # A minute later it is less than 90 days.
    assert re.search(r"^expires      in (90|89)d", shown, re.MULTILINE)


@pytest.mark.parametrize("wrong", ["moons=1", "queues", "queues=-1", "queues=1e9", "queues=²"])
def test_a_wrong_quota_is_refused(keys: Keys, wrong: str) -> None:
    status, _, err = keys("create", "a", "--grant", "admin", "--quota", wrong)
    assert status == 2
    assert (
        "expected one of queues, types, webhooks, streams, schedules, waiting_tasks, waiting_kib, and a"
        in err
    )
    assert keys.listed() == []


def test_the_word_in_a_key_is_a_setting(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_API_KEY_ENVIRONMENT", "test")
    assert keys.made("create", "a", "--grant", "admin").startswith("tm_test_")
    monkeypatch.setenv("TASKMILL_API_KEY_ENVIRONMENT", "Live!")
    status, _, err = keys("create", "b", "--grant", "admin")
    assert status == 1
    assert "TASKMILL_API_KEY_ENVIRONMENT='Live!' (environment): expected a letter" in err


@pytest.mark.parametrize("before", ["", "something else"])
def test_a_file_is_for_its_owner_only(keys: Keys, tmp_path: Path, before: str) -> None:
    path = tmp_path / "billing.key"
    if before:
        path.write_text(before)
        path.chmod(0o644)
    status, out, err = keys("create", "billing", "--grant", "admin", "--output", str(path))
    assert (status, out) == (0, "")
    assert parse_key(path.read_text().removesuffix("\n"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in err
    assert path.read_text().strip() not in err


def test_a_file_that_can_not_be_written_says_which_key_to_revoke(
    keys: Keys, tmp_path: Path
) -> None:
    status, out, err = keys(
        "create", "a", "--grant", "admin", "--output", str(tmp_path / "no/a.key")
    )
    assert (status, out) == (1, "")
    [found] = keys.listed()
    assert f"revoke {found['id']}, which nobody has" in err


def test_rotating_makes_a_second_key_and_ends_the_first(keys: Keys) -> None:
    first = keys.made(
        "create", "billing", "--grant", "tasks:read queue=a", "--network", "10.0.0.0/8"
    )
    second = keys.made("rotate", "billing", "--overlap", "2h")
    assert first != second
    old, new = keys.listed()
    assert (old["state"], new["state"], new["expires_at"]) == ("live", "live", None)
    assert old["networks"] == new["networks"] == ["10.0.0.0/8"]
    assert old["grants"] == new["grants"] == ["tasks:read queue=a"]
    created, expires = (
        datetime.fromisoformat(str(time)) for time in (new["created_at"], old["expires_at"])
    )
    assert expires - created == timedelta(hours=2)


def test_a_rotated_key_lives_as_long_as_the_first_was_meant_to(keys: Keys) -> None:
    keys.made("create", "billing", "--grant", "admin", "--expires", "30d")
    keys.made("rotate", "billing", "--overlap", "1h")
    keys("revoke", str(keys.listed()[1]["id"]))
    keys.made("rotate", "billing", "--overlap", "90d")
    first, _, third = keys.listed()
    created, expires, first_expires, first_created = (
        datetime.fromisoformat(str(key[name]))
        for key, name in (
            (third, "created_at"),
            (third, "expires_at"),
            (first, "expires_at"),
            (first, "created_at"),
        )
    )
    assert expires - created == timedelta(days=30)
    assert timedelta(hours=1) <= first_expires - first_created < timedelta(hours=2)


def test_without_overlap_the_first_key_ends_at_once(keys: Keys) -> None:
    keys.made("create", "billing", "--grant", "admin")
    keys.made("rotate", "billing", "--overlap", "0s")
    assert [key["state"] for key in keys.listed()] == ["expired", "live"]


def test_a_name_has_two_live_keys_at_most(keys: Keys) -> None:
    keys.made("create", "billing", "--grant", "admin")
    status, out, err = keys("create", "billing", "--grant", "admin")
    assert (status, out) == (1, "")
    assert "'billing' has live API keys already" in err
    assert "rotate it, or revoke what is there" in err
    keys.made("rotate", "billing")
    status, out, err = keys("rotate", "billing")
    assert (status, out) == (1, "")
    assert "revoke one of them, or wait until it expires" in err
    assert len(keys.listed()) == 2


def test_a_key_is_revoked_by_its_id_or_all_of_a_name(keys: Keys) -> None:
    keys.made("create", "billing", "--grant", "admin")
    keys.made("create", "other", "--grant", "admin")
    keys.made("rotate", "billing")
    first = str(keys.listed()[0]["id"])
    assert keys("revoke", first) == (0, f"revoked {first}  billing\n", "")
    assert [key["state"] for key in keys.listed()] == ["revoked", "live", "live"]
    assert keys("revoke", "billing")[1].count("revoked ") == 1
    assert [key["state"] for key in keys.listed()] == ["revoked", "revoked", "live"]
    assert keys("revoke", "billing") == (0, "", "it was revoked before\n")
    keys.made("create", "billing", "--grant", "admin")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nobody"), "there is no API key 'nobody'"),
        (("revoke", "nobody"), "there is no API key 'nobody'"),
        (("rotate", "nobody"), "there is no live API key 'nobody'"),
    ],
)
def test_an_unknown_key_is_refused(keys: Keys, arguments: tuple[str, ...], message: str) -> None:
    assert keys(*arguments) == (1, "", f"Error: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "--grant", "everything"), "expected a scope (tasks:create, tasks:read"),
        (("a", "--grant", "tasks:read queue=A"), "patterns such as billing.*, got 'A'"),
        (("a", "--grant", "admin", "--network", "10.0.0.1/8"), "10.0.0.1/8 has host bits set"),
        (("a", "--grant", "admin", "--expires", "soon"), "expected a number and s, m, h or d"),
        (("a", "--grant", "admin", "--expires", "0d"), "expected a time from 1s to 36500d, got 0d"),
        (("a", "--grant", "admin", "--expires", "99999d"), "expected a time from 1s to 36500d"),
        (("A", "--grant", "admin"), "such as billing-api"),
        (("a",), "Missing option '--grant'"),
    ],
)
def test_a_wrong_command_line_says_what_was_expected(
    keys: Keys, arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = keys("create", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert keys.listed() == []


@pytest.mark.parametrize("command", ["show", "rotate", "revoke"])
def test_a_whole_key_is_no_argument_and_is_not_repeated(keys: Keys, command: str) -> None:
    made = keys.made("create", "billing", "--grant", "admin")
    parsed = parse_key(made)
    assert parsed is not None
    status, out, err = keys(command, made)
    assert (status, out) == (2, "")
    assert f"give its id, {parsed.id}" in err
    assert parsed.secret not in err
    assert [key["state"] for key in keys.listed()] == ["live"]


def test_a_grant_that_only_a_later_release_knows_gives_nothing(keys: Keys) -> None:
    keys.made("create", "billing", "--grant", "metrics")
    keys.fetched("UPDATE taskmill.api_key SET grants = '{teleport,metrics}'")
    assert keys.listed()[0]["grants"] == ["metrics"]


def test_a_database_without_the_table_is_to_be_migrated(keys: Keys) -> None:
    keys.fetched("DROP TABLE taskmill.api_key")
    status, _, err = keys("list")
    assert status == 1
    assert "`taskmill migrate` makes the table of API keys" in err


def test_the_service_that_runs_here_is_found(
    taskmill: Taskmill, stage_url: str, tmp_path: Path
) -> None:
    (tmp_path / ".taskmill").mkdir()
    (tmp_path / ".taskmill/service.json").write_text(json.dumps({"database_url": stage_url}))
    assert taskmill("key", "list")[2].startswith("no API keys: make one with")


async def test_two_that_make_a_key_of_one_name_at_once_do_not_both(
    stage_url: str,
) -> None:

    database = Database(stage_url, SETTINGS)
    draft = ApiKeyDraft(name="billing", grants=(Grant.parse("admin"),))
    refused: list[ApiKeyLimitReached] = []

    async def create() -> None:
        try:
            await api_keys.create(database, draft, environment="live")
        except ApiKeyLimitReached as error:
            refused.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(create())
    await database.close()
    assert len(refused) == 7
