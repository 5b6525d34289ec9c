"""The file with the keys that stored secrets are encrypted with: one key a line, 32 bytes in Base64.

The first key encrypts, all decrypt. Empty lines and those that begin with `#` are ignored.
"""

import binascii
import os
import secrets
import stat
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskmill.domain.errors import ConfigurationError

NAME: Final = "secrets.key"
"""The name of the file that `taskmill up` makes in its data folder."""
KEY_BYTES: Final = 32

_LARGEST_BYTES: Final = 64 * 1024
_SETTING: Final = "TASKMILL_SECRETS_KEY_FILE"


def read_keys(path: Path) -> list[bytes]:
    """Return the keys of a file, the one that encrypts first; each once.

    Raises:
        ConfigurationError: the file can't be read, others may read it, or it has no key or something else. The
            message has nothing of its content.
    """
    keys: list[bytes] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key = _key(text)
        if key is None:
            expected = f"expected a key of {KEY_BYTES} bytes in Base64 in each line"
            raise ConfigurationError(f"{_SETTING}: line {number} of {path} is no key: {expected}")
        if key not in keys:
            keys.append(key)
    if not keys:
        raise ConfigurationError(f"{_SETTING}: {path} has no key")
    return keys


def make_key_file(path: Path) -> None:
    """Make a file with a new key, unless there is one: it is never replaced. Only its owner may read it.

    Raises:
        ConfigurationError: it can't be written.
    """
    if path.exists():
        return
    side = path.with_name(f"{path.name}.new")
    text = f"{b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n"
    try:
        side.unlink(missing_ok=True)
        descriptor = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        # Unlike a rename, a link never replaces a key that another process has just made.
        with suppress(FileExistsError):
            path.hardlink_to(side)
        side.unlink()
    except OSError as error:
        raise ConfigurationError(f"can't make the key file {path}: {error.strerror}") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            _check_rights(path, os.fstat(file.fileno()))
            return file.read(_LARGEST_BYTES).decode("ascii")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_SETTING}: {path} is no text of keys") from None
    except OSError as error:
        raise ConfigurationError(f"{_SETTING}: {path} can't be read: {error.strerror}") from None


def _check_rights(path: Path, found: os.stat_result) -> None:
    """Refuse what others may read. As PostgreSQL does: a group may read a file of root, as mounted secrets are."""
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{_SETTING}: {path} is no regular file")
    forbidden = 0o037 if found.st_uid == 0 else 0o077
    if found.st_mode & forbidden:
        shown = f"{stat.S_IMODE(found.st_mode):o}"
        raise ConfigurationError(
            f"{_SETTING}: others may read or change {path} (its mode is {shown}): chmod 600 it"
        )


def _key(text: str) -> bytes | None:
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
