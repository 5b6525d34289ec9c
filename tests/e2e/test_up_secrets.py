"""`taskmill up` encrypts stored secrets with a key in its data folder."""

from pathlib import Path

import psycopg

from taskmill.storage.key_file import read_keys
from taskmill.storage.keyring import Keyring
from tests.support.commands import Taskmill, taskmill
from tests.support.polling import wait_until
from tests.support.processes import Program

__all__ = ["taskmill"]


def start(folder: Path) -> Program:
    options = ("--port", "0", "--data", folder / "d", "--broker", "postgres")
    return Program("up", *options, folder=folder, env={})


def stored(up: Program) -> list[str]:
    with psycopg.connect(up.facts["database_url"]) as connection:
        query = "SELECT secret FROM taskmill.callback_key UNION ALL SELECT unnest(secrets) FROM taskmill.webhook"
        return [secret for (secret,) in connection.execute(query)]


def test_up_keeps_a_key_for_secrets_and_reports_its_loss(
    tmp_path: Path, taskmill: Taskmill
) -> None:
    file, data = tmp_path / "d" / "secrets.key", ("--data", str(tmp_path / "d"))
    with start(tmp_path) as up:
        assert file.stat().st_mode & 0o777 == 0o600
        form = Keyring(read_keys(file)).form
        with up.client() as client:
            secret = client.post("/webhooks", json={"url": "https://example.org/"}).json()["secret"]
        wait_until(lambda: all(one.startswith(form) for one in stored(up)), "the key for callbacks")
        assert len(stored(up)) == 2
        key_id = Keyring(read_keys(file)).ids[0]
        assert taskmill("secrets", "encrypt", *data) == (0, f"encrypted with key {key_id}: 0\n", "")
        assert taskmill("secrets", "decrypt", *data)[:2] == (0, "decrypted: 2\n")
        assert all(one.startswith("whsec_") for one in stored(up))
        assert taskmill("secrets", "encrypt", *data)[:2] == (0, f"encrypted with key {key_id}: 2\n")
        status, key, _ = taskmill("webhook", "callback-key", *data)
        assert (status, key.startswith("whsec_")) == (0, True)
        text = file.read_text().strip()
    file.rename(tmp_path / "lost")
    with start(tmp_path) as up:
        log = tmp_path / "d" / "taskmill.log"
        wait_until(lambda: log.read_text().count("secret.unreadable") == 2, "both to be reported")
        assert taskmill("webhook", "callback-key", *data)[0] == 1
        (tmp_path / "lost").rename(file)
        assert taskmill("webhook", "callback-key", *data) == (0, key, "")
        assert not any(one in log.read_text() for one in (text, secret, key.strip()))
