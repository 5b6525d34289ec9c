"""The pages of API keys and of sessions: what each key grants and when it ends, for who may see it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskmill.storage.api_keys import revoke
from tests.support.api import Served
from tests.support.api_keys import REQUIRED, a_new_key
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


def rows_of(html: str) -> dict[str, str]:
    return {one.partition('"')[0]: one for one in html.split('<tr id="k')[1:]}


async def test_keys_are_listed_with_what_they_grant_and_when_they_end(
    closed: Served, stage: Stage
) -> None:
    admin = await visitor(closed, stage, "admin")
    mail = await a_new_key(
        stage.database,
        *("tasks:read queue=mail", "worker queue=mail type=send-*"),
        name="mailer",
        networks=("192.0.2.0/24",),
        quotas=("queues=50",),
        lifetime=timedelta(days=3),
    )
    ended = await a_new_key(stage.database, "tasks:read", name="ended")
    await revoke(stage.owner_database, ended.key.id)
    html = (await closed.get("/ui/keys", headers=admin)).text
    rows = rows_of(html)
    assert ended.key.id not in rows
    for words in (
        "tasks:read queue=mail",
        "worker queue=mail type=send-*",
        "192.0.2.0/24",
        "queues=50",
        "Ends soon",
        "never",
    ):
        assert words in rows[mail.key.id]
    everything = (await closed.get("/ui/keys?state=all", headers=admin)).text
    assert "Revoked" in rows_of(everything)[ended.key.id]
    for text in ("MAILER", mail.key.id):
        found = (await closed.get(f"/ui/keys?text={text}", headers=admin)).text
        assert list(rows_of(found)) == [mail.key.id]
    assert "No key matches" in (await closed.get("/ui/keys?text=nobody", headers=admin)).text
    assert (await closed.get("/ui/keys?state=lost", headers=admin)).status_code == 422
    for secret in (mail.text[-49:], ended.text[-49:]):
        assert secret not in html + everything


async def test_keys_and_sessions_lead_to_each_other(closed: Served, stage: Stage) -> None:
    reader = await visitor(closed, stage, "tasks:read")
    admin = await visitor(closed, stage, "admin")
    html = (await closed.get("/ui/keys", headers=admin)).text
    assert 'href="/ui/sessions"' in html
    ways = re.findall(r'href="(/ui/sessions\?key=[^"]+)"', html)
    assert len(ways) == 2
    for way in ways:
        listed = (await closed.get(way, headers=admin)).text
        assert listed.count("/end") == 1
        assert 'href="/ui/keys"' in listed
    everything = (await closed.get("/ui/sessions", headers=admin)).text
    assert everything.count("/end") == 2
    assert "/ui/keys" not in (await closed.get("/ui/sessions", headers=reader)).text


async def test_visitors_see_what_their_own_key_grants(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate queue=mail")
    html = (await closed.get("/ui/sessions", headers=session)).text
    for words in ("Your key", "tasks:read queue=mail", "tasks:operate queue=mail", "Live"):
        assert words in html


async def test_keys_are_shown_to_admins_only_and_changed_by_nobody(
    closed: Served, stage: Stage
) -> None:
    everything_else = await visitor(
        closed, stage, "tasks:read", "tasks:operate", "types", "webhooks", "tasks:create"
    )
    admin = await visitor(closed, stage, "admin")
    assert (await closed.get("/ui/keys", headers=everything_else)).status_code == 403
    assert "/ui/keys" not in (await closed.get("/", headers=everything_else)).text
    html = (await closed.get("/ui/keys", headers=admin)).text
    assert 'href="/ui/keys"' in html
    actions = set(re.findall(r'<form[^>]* method="post" action="([^"]+)"', html))
    assert actions == {"/ui/logout", "/ui/preferences"}
    assert (await closed.post("/ui/keys", b"", headers=admin | FORM)).status_code == 405


async def test_where_no_keys_are_required_the_page_says_so(pages: Served, stage: Stage) -> None:
    assert "No API keys" in (await pages.get("/ui/keys")).text
    key = await a_new_key(stage.database, "admin", name="first")
    html = (await pages.get("/ui/keys")).text
    assert "not required here" in html
    assert list(rows_of(html)) == [key.key.id]
    assert "/ui/sessions" not in html
