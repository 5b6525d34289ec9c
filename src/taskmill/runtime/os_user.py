"""The user of the operating system that a process runs as."""

import os
import pwd


def os_user() -> str:
    """Return the user's name; in a container a user may have none, only a number."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
