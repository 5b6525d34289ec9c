"""`taskmill secrets`: stores secrets encrypted, with the first key of the key file, or plain."""

from pathlib import Path

import click

from taskmill.cli import show
from taskmill.cli.addresses import data_option, database_url_option, owner_settings_of
from taskmill.domain.errors import SecretUnreadable
from taskmill.storage.keyring import CALLBACK_KEY

_EPILOG = """\b
Examples:
  taskmill secrets encrypt                 after a new first key: all secrets are encrypted with that
  taskmill secrets decrypt                 before a release runs that can't decrypt them
"""


@click.group(epilog=_EPILOG)
def secrets() -> None:
    """Encrypt secrets that are stored, or decrypt them.

    They are the secrets of webhooks, and the key for callbacks. TASKMILL_SECRETS_KEY_FILE names the file with
    the keys: the first encrypts, all decrypt. The database's login has to be the one that migrates.
    """


@secrets.command()
@database_url_option
@data_option
def encrypt(*, database_url: str | None, data: Path | None) -> int:
    """Encrypt all secrets that are not under the first key of the key file: plain ones, and those of other keys.

    Before, give the file to all processes of the API and of webhooks, and restart them. Repeating it is
    harmless. Exit status 1 if a secret can't be decrypted.
    """
    return _convert(database_url, data, to_plain=False)


@secrets.command()
@database_url_option
@data_option
def decrypt(*, database_url: str | None, data: Path | None) -> int:
    """Store all secrets as plain text again.

    Exit status 1 if a secret can't be decrypted. New ones are plain when TASKMILL_SECRETS_KEY_FILE is not set.
    """
    return _convert(database_url, data, to_plain=True)


def _convert(database_url: str | None, data: Path | None, *, to_plain: bool) -> int:
    from taskmill.composition.one_shot import convert_secrets  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    settings = owner_settings_of(data, database_url)
    done, key_ids = convert_secrets(settings, to_plain=to_plain)
    if to_plain:
        show.line(f"decrypted: {done.converted}")
    else:
        show.line(f"encrypted with key {key_ids[0]}: {done.converted}")
    for error in done.unreadable:
        show.note(f"{error}; {_advice(error)}")
    if done.unreadable:
        return 1
    if to_plain:
        show.note("no secret needs a key any more")
    elif len(key_ids) > 1:
        others = ", ".join(key_ids[1:])
        show.note(f"not needed any more, and may be removed from the key file: {others}")
    return 0


def _advice(error: SecretUnreadable) -> str:
    found = "add the key that is missing to the key file"
    if error.owner == CALLBACK_KEY:
        return f"{found}, or set TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS to the key that receivers have"
    return f"{found}, or make a new secret by `taskmill webhook rotate`"
