"""Saves a user's preferences, and leads back to their page."""

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.own_paths import own_path
from taskmill.dashboard.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, YEAR_S
from taskmill.dashboard.texts import LANGUAGES
from taskmill.dashboard.view import View


async def save(view: View) -> Response:
    """Save a language or a theme in a cookie."""
    form = await view.form()
    response = view.redirect(own_path(first(form, "back")))
    for name, cookie, known in (
        ("language", LANGUAGE_COOKIE, tuple(LANGUAGES)),
        ("theme", THEME_COOKIE, THEMES),
    ):
        if not (value := first(form, name)):
            continue
        response.set_cookie(
            cookie,
            one_of(known, value, f"/{name}"),
            max_age=YEAR_S,
            path=view.href("/"),
            httponly=True,
            samesite="lax",
        )
    return response


ROUTES = [("POST", "/ui/preferences", save)]
