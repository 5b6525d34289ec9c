"""Canaries: secrets that are found again wherever one of them was written or sent."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Final

from taskmill.domain.api_keys import parse_key

# Messages cut what they quote, so a part counts as well.
_PART: Final = slice(2, 16)


def a_password() -> str:
    """A password that stands for itself in an address."""
    return f"canary{token_hex(16)}"


def a_key() -> str:
    """A key of 256 bits in Base64."""
    return b64encode(token_bytes(32)).decode()


def a_signing_key() -> str:
    """A key as Standard Webhooks has it."""
    return f"whsec_{a_key()}"


@dataclass(frozen=True)
class Canaries:
    """Parts of secrets by what they are of, and what was seen of the service by where that was."""

    parts: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, secret: str) -> str:
        """Take a secret, and return it."""
        key = parse_key(secret)
        part = (
            secret.removeprefix("whsec_").removeprefix("canary") if key is None else key.secret
        )[_PART]
        assert len(part) == _PART.stop - _PART.start, name
        self.parts[name] = part
        return secret

    def see(self, where: str, text: str) -> str:
        """Take what somebody can see, and return it."""
        self.seen[where] = f"{self.seen.get(where, '')}\n{text}"
        return text

    def see_files(self, paths: Iterable[Path]) -> None:
        """Take the content of files."""
        for path in paths:
            self.see(path.name, path.read_text(errors="replace"))

    def found(self) -> list[str]:
        """Return which secrets were seen where, with some of the text before them."""
        return [
            f"{name} in {where}: …{text[max(at - 150, 0) : at]}HERE"
            for where, text in self.seen.items()
            for name, part in self.parts.items()
            if (at := text.find(part)) >= 0
        ]
