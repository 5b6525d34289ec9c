"""The logins of the processes of `taskmill up` in the PostgreSQL that it runs: passwords, and addresses with them.

The password of each is in a file of the data folder that only its owner can read. What the roles may do is in
`storage/rights`.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from taskmill.embedded.private_files import write_private
from taskmill.storage.rights import APP, MAINTENANCE

_FILES: Mapping[str, str] = {APP: "password.app", MAINTENANCE: "password.maintenance"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """The passwords by role; those that are new have no file yet, and hold when `save` is called."""

    folder: Path
    superuser_url: str
    passwords: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path, superuser_url: str) -> Self:
        """Read the passwords of the server whose data is in `folder`; choose those that are missing."""
        files = {role: folder / name for role, name in _FILES.items()}
        passwords = {
            role: file.read_text() if file.exists() else secrets.token_hex(24)
            for role, file in files.items()
        }
        return cls(folder=folder, superuser_url=superuser_url, passwords=passwords)

    @property
    def are_saved(self) -> bool:
        """Whether the server knows them all: a password has a file only when it has been set."""
        return all((self.folder / name).exists() for name in _FILES.values())

    def save(self) -> None:
        """Write the passwords, when they have been set."""
        for role, name in _FILES.items():
            write_private(self.folder / name, self.passwords[role])

    def url(self, role: str) -> str:
        """Return the database's address with the login of a role."""
        parts = urlsplit(self.superuser_url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{role}:{self.passwords[role]}@{host}").geturl()
