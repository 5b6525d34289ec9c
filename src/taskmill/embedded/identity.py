"""Decides as which user PostgreSQL's programs run, since they refuse to run as root; it starts no server.

As an ordinary user: as that user. As root: in a user namespace of its own, where root's files
belong to "nobody" (no new user, no changed permissions); where that is forbidden: as uid 65534.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from taskmill.embedded.errors import RootNotPossibleError

_NOBODY = 65534
_CLONE_ELSEWHERE = "Have the clone in a folder that everyone can enter, such as /opt/taskmill. "
_DATA_ELSEWHERE = "Keep the data in a folder that everyone can enter: --data /var/lib/taskmill. "
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
# --pdeathsig: the kernel forgets a parent-death signal when the uid changes, so it is set again.
_SETPRIV = (
    "setpriv",
    f"--reuid={_NOBODY}",
    f"--regid={_NOBODY}",
    "--clear-groups",
    "--pdeathsig=INT",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The words to put before a command, and the uid that must own its files (None: ours)."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    def own(self, path: Path) -> None:
        """Give a file or folder to the identity."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def check_programs(self, folder: Path) -> None:
        """Raise `RootNotPossibleError` when the identity can't run the programs in `folder`."""
        # Tested by another program: setpriv itself would still find this one with root's rights.
        if self.uid is not None and not _works(self.prefix, "test", "-x", str(folder / "initdb")):
            detail = f"uid {self.uid} cannot run the programs in {folder}"
            raise RootNotPossibleError(detail, _CLONE_ELSEWHERE)


def choose_identity(data_dir: Path) -> Identity:
    """Find the identity for a server whose data is in `data_dir`.

    Raises:
        RootNotPossibleError: running as root, and neither way works here.
    """
    if os.geteuid() != 0:
        return Identity()
    if _works(_UNSHARE, "true"):
        return Identity(prefix=_UNSHARE)
    if not _works(_SETPRIV, "true"):
        raise RootNotPossibleError("neither unshare nor setpriv works")
    if not _works(_SETPRIV, "test", "-x", str(data_dir.parent)):
        raise RootNotPossibleError(f"uid {_NOBODY} cannot enter {data_dir.parent}", _DATA_ELSEWHERE)
    return Identity(prefix=_SETPRIV, uid=_NOBODY)


def _works(prefix: tuple[str, ...], *command: str) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    # S603: fixed words and the operator's own folder.
    done = subprocess.run([*prefix, *command], capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0
