"""The pages of types over HTTP: who runs each, how it does, its contract, and who may see that."""

import re
from collections.abc import AsyncIterator

import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.lifecycle import Failed, Succeeded
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.builders import ERROR
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor


async def contract(stage: Stage, name: str, field: str, **defaults: object) -> None:
    schema = {"type": "object", "properties": {field: {"type": "string", "title": "<b>"}}}
    await stage.service.contracts.register(
        TypeContract(type=name, schema=orjson.dumps(schema).decode(), defaults=defaults), by="me"
    )


async def run(stage: Stage, name: str, *, queue: str = "default", fails: bool = False) -> None:
    lease = await stage.open_lease(ttl_s=600, types=(name,), worker=f"runs-{name}")
    task = await stage.running(lease, type=name, queue=queue)
    await stage.end(task, lease, Failed(error=ERROR) if fails else Succeeded())


def rows_of(html: str) -> list[str]:
    return re.findall(r'<tr id="y-([^"]+)"', html)


async def test_types_are_listed_with_who_runs_them_and_what_happened(
    pages: Served, stage: Stage
) -> None:
    # Of another window: what is read is shared for a moment.
    assert "No types yet" in (await pages.get("/ui/types?window=5m")).text
    await contract(stage, "held", "to")
    await run(stage, "send")
    for fails in (True, False):
        await run(stage, "charge", fails=fails)
    html = (await pages.get("/ui/types")).text
    assert rows_of(html) == ["charge", "held", "send"]
    rows = dict(zip(rows_of(html), html.split('<tr id="y-')[1:], strict=True))
    assert "No worker" in rows["held"]
    assert "version 1" in rows["held"]
    assert re.search(r">1<span[^>]*>50 %", rows["charge"])
    assert "/ui/failures?type=charge" in rows["charge"]
    assert "No worker" not in rows["send"]
    assert rows_of((await pages.get("/ui/types?order=failed")).text)[0] == "charge"
    assert rows_of((await pages.get("/ui/types?name=SEN")).text) == ["send"]
    assert "No type matches" in (await pages.get("/ui/types?name=nowhere")).text


async def test_a_type_has_its_failures_its_workers_and_its_queues(
    pages: Served, stage: Stage
) -> None:
    await run(stage, "charge", queue="billing", fails=True)
    await run(stage, "send", queue="mail")
    html = (await pages.get("/ui/types/charge")).text
    for words in (
        "runs-charge",
        "/ui/failures/",
        "/ui/queues/billing",
        "data-chart",
        "It has no contract",
    ):
        assert words in html
    for words in ("runs-send", "/ui/queues/mail"):
        assert words not in html


async def test_each_version_of_a_contract_is_shown(pages: Served, stage: Stage) -> None:
    await contract(stage, "held", "first-field", queue="mail")
    await contract(stage, "held", "second-field")
    html = (await pages.get("/ui/types/held")).text
    assert "second-field" in html
    assert "first-field" not in html
    assert "&lt;b&gt;" in html
    assert '<b>"' not in html
    before = (await pages.get("/ui/types/held?version=1")).text
    for words in ("first-field", "queue: mail", "holds no longer"):
        assert words in before
    for path in ("/ui/types/held?version=3", "/ui/types?order=size", "/ui/types/held?window=1y"):
        assert (await pages.get(path)).status_code == 422
    for path in ("/ui/types/No%20name", f"/ui/types/{'x' * 70}"):
        assert (await pages.get(path)).status_code == 404
    assert (await pages.get("/ui/types/unknown")).status_code == 200


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        (("tasks:read",), set()),
        (("tasks:read", "types"), {"held", "other"}),
        (("tasks:read", "types type=held"), {"held"}),
        (("tasks:read", "types queue=mail"), {"held"}),
        (("tasks:read queue=mail", "types"), {"held", "other"}),
        (("tasks:read queue=mail", "types queue=other"), {"other"}),
    ],
)
async def test_a_contract_is_shown_to_who_may_read_it(
    closed: Served, stage: Stage, grants: tuple[str, ...], seen: set[str]
) -> None:
    await contract(stage, "held", "held-field", queue="mail")
    await contract(stage, "other", "other-field", queue="other")
    session = await visitor(closed, stage, *grants)
    assert set(rows_of((await closed.get("/ui/types", headers=session)).text)) == seen
    for name in ("held", "other"):
        html = (await closed.get(f"/ui/types/{name}", headers=session)).text
        assert (f"{name}-field" in html) is (name in seen)


@pytest.mark.parametrize(
    ("grants", "is_offered"),
    [
        (("tasks:read",), False),
        (("tasks:read", "types type=other"), False),
        (("tasks:read", "types type=held"), True),
        (("tasks:read", "tasks:create type=held"), True),
    ],
)
async def test_a_form_offers_types_with_contracts_to_who_may_know_of_them(
    closed: Served, stage: Stage, grants: tuple[str, ...], *, is_offered: bool
) -> None:
    await contract(stage, "held", "held-field")
    session = await visitor(closed, stage, *grants)
    page = (await closed.get("/ui/events", headers=session)).text
    assert ('<option value="held">' in page) is is_offered


@pytest.mark.parametrize("reads", ["tasks:read", "tasks:read queue=mail"])
async def test_a_version_of_a_contract_for_another_queue_is_hidden(
    closed: Served, stage: Stage, reads: str
) -> None:
    await contract(stage, "held", "foreign-field", queue="other")
    await contract(stage, "held", "held-field", queue="mail")
    session = await visitor(closed, stage, reads, "types queue=mail")
    page = (await closed.get("/ui/types/held", headers=session)).text
    assert "held-field" in page
    assert "?version=1" not in page
    earlier = await closed.get("/ui/types/held?version=1", headers=session)
    assert earlier.status_code == 422
    assert "foreign-field" not in earlier.text


async def test_who_sees_some_queues_sees_what_happened_in_them(
    closed: Served, stage: Stage
) -> None:
    await run(stage, "send", queue="mail")
    await run(stage, "secret-type", queue="foreign")
    await run(stage, "send", queue="foreign", fails=True)
    session = await visitor(closed, stage, "tasks:read queue=mail")
    listed = (await closed.get("/ui/types", headers=session)).text
    assert rows_of(listed) == ["send"]
    assert "/ui/failures?type=send" not in listed
    page = (await closed.get("/ui/types/send", headers=session)).text
    assert "foreign" not in page
    foreign = (await closed.get("/ui/types/secret-type", headers=session)).text
    unknown = (await closed.get("/ui/types/unknown-type", headers=session)).text
    assert _without_times(foreign.replace("secret-type", "T")) == _without_times(
        unknown.replace("unknown-type", "T")
    )


def _without_times(html: str) -> str:
    return re.sub(r'data-now="[^"]*"|data-points="[^"]*"', "", html)
