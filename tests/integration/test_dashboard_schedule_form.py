"""The form for a schedule over HTTP: what it stores, what it refuses and where, and its preview."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.schedules.zones import zone_names
from tests.support.api import Served
from tests.support.pages import fields_of
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage

NEW = "/ui/new-schedule"
ALL = {
    "schedule": "monthly",
    "kind": "cron",
    "cron": "30 2 1 * *",
    "zone": "Europe/Berlin",
    "overlap": "hold_one",
    "catch_up": "all",
    "within": "PT6H",
    "most": "7",
    "gap": "skip",
    "fold": "both",
    "jitter_s": "30.5",
    "starts_at": "2030-01-31T09:00",
    "ends_at": "2040-01-31T09:00:00",
    "name": "monthly report",
    "type": "report",
    "queue": "reports",
    "priority": "7",
    "mode": "json",
    "payload": '{"pages": 12}',
    "labels": "team=finance",
    "max_attempts": "3",
    "retry_base_s": "1",
}


async def send(pages: Served, path: str = NEW, **values: str) -> httpx.Response:
    return await pages.post(path, urlencode(values).encode())


async def stored(pages: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await pages.get(f"/schedules/{name}")).json()
    return found


def filled_in(html: str) -> dict[str, str]:
    """Return what a form sends if nothing is changed in it."""
    form = html.partition('<form id="schedule-form"')[2].partition("</form>")[0]
    values = {}
    for tag in re.findall(r"<input[^>]*>", form):
        facts = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if facts.get("type") != "radio" or " checked" in tag:
            values[facts["name"]] = facts.get("value", "")
    for name, body in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        values[name] = "".join(re.findall(r'<option value="([^"]*)" selected', body))
    areas = r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>'
    values |= dict(re.findall(areas, form, re.DOTALL))
    return {name: unescape(text) for name, text in values.items()}


async def test_all_that_is_filled_in_is_stored_as_over_http(pages: Served) -> None:
    made = await send(pages, **ALL)
    assert (made.status_code, made.headers["location"]) == (303, "/ui/schedules/monthly")
    found = await stored(pages, "monthly")
    expected = {
        "cron": "30 2 1 * *",
        "zone": "Europe/Berlin",
        "overlap": "hold_one",
        "catch_up": "all",
        "within": "PT6H",
        "most": 7,
        "gap": "skip",
        "fold": "both",
        "jitter_s": 30.5,
        "starts_at": "2030-01-31T09:00:00.000000Z",
        "ends_at": "2040-01-31T09:00:00.000000Z",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["task"] == {
        "name": "monthly report",
        "type": "report",
        "queue": "reports",
        "priority": 7,
        "payload": {"pages": 12},
        "labels": {"team": "finance"},
        "max_attempts": 3,
        "retry": {"base_s": 1},
    }


async def test_the_form_of_a_schedule_sent_as_it_is_changes_nothing(pages: Served) -> None:
    await send(pages, **ALL)
    before = await stored(pages, "monthly")
    values = filled_in((await pages.get("/ui/schedules/monthly/edit")).text)
    saved = await send(pages, "/ui/schedules/monthly/edit", **values)
    assert saved.status_code == 303, saved.text
    assert await stored(pages, "monthly") == before


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"kind": "every", "every": "PT90S"}, {"every": "PT1M30S", "cron": None, "anchor": None}),
        (
            {"kind": "every", "every": "PT1H", "anchor": "2030-01-31T09:00", "cron": "left over"},
            {"every": "PT1H", "anchor": "2030-01-31T09:00:00.000000Z"},
        ),
        (
            {"kind": "at", "at": "2031-01-31T09:00:00Z\n\n 2031-02-28T09:00:00+01:00"},
            {"at": ["2031-01-31T09:00:00.000000Z", "2031-02-28T08:00:00.000000Z"]},
        ),
        ({"cron": "@daily"}, {"cron": "@daily", "zone": "UTC", "overlap": "allow"}),
    ],
)
async def test_each_way_to_say_when_is_stored(
    pages: Served, values: dict[str, str], facts: dict[str, object]
) -> None:
    made = await send(pages, schedule="s", **values)
    assert made.status_code == 303, made.text
    found = await stored(pages, "s")
    assert {name: found[name] for name in facts} == facts
    assert found["task"]["name"] == "s", "a task without a name has that of the schedule"
    values = filled_in((await pages.get("/ui/schedules/s/edit")).text)
    assert (await send(pages, "/ui/schedules/s/edit", **values)).status_code == 303
    assert (await stored(pages, "s"))["revision"] == 1


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, ["schedule"]),
        ({"schedule": "No Such"}, ["schedule"]),
        ({"schedule": "s"}, ["cron"]),
        ({"schedule": "s", "cron": "61 * * * *"}, ["cron"]),
        ({"schedule": "s", "cron": "0 0 31 2 *"}, ["cron"]),
        ({"schedule": "s", "cron": "@daily", "zone": "Europe/Berln"}, ["zone"]),
        ({"schedule": "s", "kind": "every", "every": "15 minutes"}, ["every"]),
        ({"schedule": "s", "kind": "every", "every": "PT0.5S"}, ["every"]),
        ({"schedule": "s", "kind": "at"}, ["at"]),
        ({"schedule": "s", "kind": "at", "at": "tomorrow"}, ["at"]),
        ({"schedule": "s", "cron": "@daily", "overlap": "maybe"}, ["overlap"]),
        ({"schedule": "s", "cron": "@daily", "most": "0", "within": "x"}, ["within", "most"]),
        ({"schedule": "s", "cron": "@daily", "jitter_s": "90000"}, ["jitter_s"]),
        ({"schedule": "s", "cron": "@daily", "starts_at": "soon"}, ["starts_at"]),
        (
            {"schedule": "s", "cron": "@daily", "priority": "11", "queue": "No"},
            ["queue", "priority"],
        ),
        ({"schedule": "s", "cron": "@daily", "mode": "json", "payload": "{"}, ["payload"]),
        ({"schedule": "s", "cron": "@daily", "labels": "nothing"}, ["labels"]),
        ({"schedule": "s", "cron": "@daily", "retry_base_s": "x"}, ["retry_base_s"]),
    ],
)
async def test_what_does_not_fit_is_refused_at_its_field(
    pages: Served, stage: Stage, values: dict[str, str], fields: list[str]
) -> None:
    refused = await send(pages, **values)
    assert refused.status_code == 422
    found = re.findall(r'<li lang="en"><a href="#f-([^"]+)">', refused.text)
    assert sorted(set(found)) == sorted(fields), refused.text
    for field in fields:
        assert f'id="bad-{field}"' in refused.text
        assert f'id="f-{field}" aria-invalid="true"' in refused.text
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule") == 0
    for text in values.values():
        assert text in unescape(refused.text), "what was filled in is still there"


async def test_a_new_schedule_replaces_no_other_one(pages: Served) -> None:
    assert (await send(pages, **ALL)).status_code == 303
    assert (await send(pages, **ALL)).status_code == 303, "the same again changes nothing"
    refused = await send(pages, **ALL | {"cron": "@daily"})
    assert refused.status_code == 422
    assert "one that is taken" in refused.text
    assert (await stored(pages, "monthly"))["revision"] == 1


async def test_a_new_schedule_takes_over_no_equal_one_of_an_app(
    pages: Served, stage: Stage
) -> None:
    await send(pages, **ALL)
    await stage.sql.execute("UPDATE taskmill.schedule SET managed_by = 'shop'")
    refused = await send(pages, **ALL)
    assert refused.status_code == 422
    assert "one that is taken" in refused.text
    assert (await stored(pages, "monthly"))["managed_by"] == "shop"


async def test_a_schedule_that_others_have_changed_is_not_overwritten(
    pages: Served, scheduler: Scheduler
) -> None:
    await send(pages, **ALL)
    values = filled_in((await pages.get("/ui/schedules/monthly/edit")).text)
    await scheduler.put("monthly", every="PT1H")
    refused = await send(pages, "/ui/schedules/monthly/edit", **values | {"most": "9"})
    assert refused.status_code == 412
    assert "was changed since" in refused.text
    assert (await stored(pages, "monthly"))["every"] == "PT1H"
    for revision in ("", "x", "9" * 30):
        again = await send(pages, "/ui/schedules/monthly/edit", **values | {"revision": revision})
        assert again.status_code == 422


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def test_secret_values_are_neither_shown_nor_copied(
    pages: Served, scheduler: Scheduler
) -> None:
    payload = {"card": "4111", "amount": 5}
    task = {"name": "x", "type": "charge", "payload": payload, "payload_secrets": ["/card"]}
    await scheduler.put("nightly", cron="@daily", task=task)
    for path in ("/ui/schedules/nightly", "/ui/schedules/nightly/edit", "/ui/schedules"):
        assert "4111" not in (await pages.get(path)).text
    form = (await pages.get("/ui/schedules/nightly/edit")).text
    assert "Secret values of that task are not copied" in form
    assert orjson.loads(filled_in(form)["payload"]) == {"amount": 5}


async def test_a_payload_is_checked_against_its_contract(pages: Served, stage: Stage) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    await stage.service.contracts.register(
        TypeContract(type="send", schema=orjson.dumps(schema).decode()), by="test"
    )
    values = {"schedule": "s", "cron": "@daily", "type": "send", "mode": "fields"}
    refused = await send(pages, **values)
    assert refused.status_code == 422
    assert "/task/payload" in refused.text
    assert (await send(pages, **values, **{"p.to": "me"})).status_code == 303
    assert (await stored(pages, "s"))["task"]["payload"] == {"to": "me"}
    assert 'value="me"' in (await pages.get("/ui/schedules/s/edit")).text


async def test_the_preview_shows_ticks_and_clock_changes(pages: Served) -> None:
    spec = {"kind": "cron", "cron": "30 2 * 3 *", "zone": "Europe/Berlin"}
    html = unescape((await send(pages, f"{NEW}/preview", **spec)).text)
    assert "at 02:30" in html
    assert "<html" not in html
    assert html.count('<span class="local num"') == 10
    every = unescape((await send(pages, f"{NEW}/preview", kind="every", every="PT15M")).text)
    assert "every 15\xa0min" in every
    over = (await send(pages, f"{NEW}/preview", kind="at", at="2001-01-01T00:00:00Z")).text
    assert "no ticks from now on" in over


async def test_a_preview_of_what_does_not_fit_says_why(pages: Served) -> None:
    for values in (
        {},
        {"cron": "x"},
        {"kind": "every", "every": "x"},
        {"zone": "x", "cron": "@daily"},
    ):
        response = await send(pages, f"{NEW}/preview", **values)
        assert (response.status_code, "Not yet:" in response.text) == (200, True), values


async def test_without_scripts_a_button_shows_the_preview(pages: Served, stage: Stage) -> None:
    shown = await send(pages, **ALL, do="preview")
    assert shown.status_code == 200
    assert '<span class="local num"' in shown.text
    assert fields_of(shown.text).get("mode") == "json"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule") == 0


async def test_the_form_offers_all_zones_and_takes_values_from_the_address(pages: Served) -> None:
    html = (await pages.get(f"{NEW}?cron=@hourly&zone=Asia/Kolkata&queue=mail")).text
    assert html.count("<option value=") > len(zone_names())
    values = filled_in(html)
    assert (values["cron"], values["zone"], values["queue"]) == ("@hourly", "Asia/Kolkata", "mail")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"cron=%00",
        urlencode({"schedule": "s", "cron": "@daily", "revision": "9" * 5000}).encode(),
        b"&".join([b"x=y"] * 1300),
        urlencode([("at", "2031-01-31T09:00:00Z\n" * 60), ("kind", "at")]).encode(),
        urlencode({"kind": "\u0000".encode().decode() + "x", "mode": "same"}).encode(),
        urlencode({"schedule": "s", "cron": "@daily", "mode": "same", "payload_of": "x"}).encode(),
        b"a" * 200_000,
    ],
)
async def test_a_form_that_no_browser_sends_is_no_error_of_the_server(
    pages: Served, body: bytes
) -> None:
    for path in (NEW, f"{NEW}/preview"):
        response = await pages.post(path, body)
        assert response.status_code < 500, (path, response.status_code)
