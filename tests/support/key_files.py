"""Key files for stored secrets."""

from base64 import b64encode
from pathlib import Path

OLD = b"o" * 32
NEW = b"n" * 32


def a_key_file(path: Path, *keys: bytes, mode: int = 0o600) -> Path:
    """Write a key file; the first key encrypts."""
    path.write_text("".join(f"{b64encode(key).decode()}\n" for key in keys))
    path.chmod(mode)
    return path
