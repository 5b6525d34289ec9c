"""Visitors of pages that require keys."""

from urllib.parse import urlencode

from taskmill.dashboard.visitors import PLAIN_COOKIE
from tests.support.api import Served
from tests.support.api_keys import a_new_key
from tests.support.stage import Stage

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def visitor(
    pages: Served, stage: Stage, *grants: str, quotas: tuple[str, ...] = ()
) -> dict[str, str]:
    """Log in with a new key, and return the header of the session."""
    key = await a_new_key(stage.database, *grants, quotas=quotas)
    response = await pages.post("/ui/login", urlencode({"key": key.text}).encode(), headers=FORM)
    assert response.status_code == 303, response.text
    token = response.cookies[PLAIN_COOKIE]
    pages.http.cookies.clear()
    return {"cookie": f"{PLAIN_COOKIE}={token}"}
