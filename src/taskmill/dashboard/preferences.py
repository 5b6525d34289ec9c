"""A user's preferences: language and theme, from cookies, else from the browser's headers."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from taskmill.dashboard.texts import LANGUAGES, preferred

LANGUAGE_COOKIE: Final = "taskmill_language"
THEME_COOKIE: Final = "taskmill_theme"
THEMES: Final = ("auto", "light", "dark")
"""`auto` follows the system."""

YEAR_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The language's code, and one of `THEMES`."""

    language: str
    theme: str

    @classmethod
    def of(cls, request: Request) -> "Preferences":
        """Read them; cookies with an unknown value are ignored."""
        language = request.cookies.get(LANGUAGE_COOKIE, "")
        if language not in LANGUAGES:
            language = preferred(request.headers.get("accept-language", ""))
        theme = request.cookies.get(THEME_COOKIE, "")
        return cls(language=language, theme=theme if theme in THEMES else THEMES[0])
