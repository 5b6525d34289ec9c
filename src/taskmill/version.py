"""The version of this program. The name of a release, of its packages and of its documents is made from it."""

from typing import Final

VERSION: Final = "0.2.0"
