"""What leads from a task's page elsewhere: its trace, a command, and the names of its buttons."""

import html
import re
import shlex

import orjson

from taskmill.settings import Settings
from tests.support.api import LIMITS, Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINK = "https://traces.example.org/trace/{trace_id}?from=taskmill"


def curl_on(page: str) -> list[str]:
    """Return the words of the command that a page has for the clipboard."""
    [found] = re.findall(r'data-copy="(curl[^"]*)"', page)
    return shlex.split(html.unescape(found).replace("\\\n", " "))


async def test_a_task_leads_to_its_trace_where_the_settings_say_where_traces_are(
    pages: Served, stage: Stage
) -> None:
    traced = await stage.created(traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    untraced = await stage.created()
    settings = Settings(limits=LIMITS, traces__link=LINK)
    async with serving_pages(stage, settings) as linked:
        found = {
            task.id: re.findall(
                r'href="(https://traces[^"]+)"', (await linked.get(f"/ui/tasks/{task.id}")).text
            )
            for task in (traced, untraced)
        }
    assert found == {traced.id: [LINK.format(trace_id=TRACE)], untraced.id: []}
    assert TRACE not in (await pages.get(f"/ui/tasks/{traced.id}")).text


async def test_the_curl_of_a_task_creates_one_like_it(pages: Served, stage: Stage) -> None:
    payload = orjson.dumps({"text": "it's <b> \u202e", "n": [1, 2]}).decode()
    task = await stage.created(
        name='a "name"', type="send", queue="mail", payload=payload, labels='{"team":"x"}'
    )
    words = curl_on((await pages.get(f"/ui/tasks/{task.id}")).text)
    assert words[:4] == ["curl", "-X", "POST", f"{str(pages.http.base_url).rstrip('/')}/tasks"]
    response = await pages.http.post(
        "/tasks", content=words[-1], headers={"content-type": "application/json"}
    )
    assert response.status_code == 201
    made = response.json()
    assert (made["name"], made["type"], made["queue"]) == ('a "name"', "send", "mail")
    assert (made["payload"], made["labels"]) == (orjson.loads(payload), {"team": "x"})


async def test_the_curl_of_a_task_has_its_texts_as_they_are(pages: Served) -> None:
    fields = {
        "name": " padded ",
        "description": "two\nlines ",
        "labels": {"note": "x\ny=z", "empty": ""},
        "retry": {"base_s": 2, "factor": 3, "max_s": 60, "jitter": 0},
        "timeout_s": 1.5,
        "max_attempts": 4,
    }
    task = await pages.create(**fields, delay_s=3600, expires_at="2090-01-31T09:00:00Z")
    content = curl_on((await pages.get(f"/ui/tasks/{task['id']}")).text)[-1]
    assert orjson.loads(content).items() >= fields.items()
    assert not orjson.loads(content).keys() & {"run_at", "delay_s", "expires_at", "payload"}
    sent = {"content-type": "application/json"}
    made = (await pages.http.post("/tasks", content=content, headers=sent)).json()
    assert {name: made[name] for name in fields} == {name: task[name] for name in fields}


async def test_the_curl_of_a_task_has_no_secret_that_the_page_masks_and_says_so(
    pages: Served, stage: Stage
) -> None:
    payload = '{"to": "ann", "token": "correct-horse"}'
    for secrets, title in ((None, "creates the same task again"), ('["/token"]', "not in it")):
        task = await stage.created(payload=payload, payload_secrets=secrets)
        page = (await pages.get(f"/ui/tasks/{task.id}")).text
        sent = orjson.loads(curl_on(page)[-1])["payload"]
        assert sent.items() >= {"to": "ann"}.items()
        assert ("correct-horse" in page) == ("token" in sent) == (secrets is None)
        [shown] = re.findall(r'data-copy="curl[^"]*" title="([^"]*)"', page)
        assert title in shown


async def test_a_payload_that_is_too_long_for_a_command_has_none(
    pages: Served, stage: Stage
) -> None:
    task = await stage.created(payload=orjson.dumps({"text": "x" * 9000}).decode())
    assert 'data-copy="curl' not in (await pages.get(f"/ui/tasks/{task.id}")).text


async def test_pages_name_buttons_and_no_commands(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    await pages.post(f"/ui/tasks/{task.id}/cancel")
    page = (await pages.get(f"/ui/tasks/{task.id}")).text
    assert "Nothing. <b>Retry</b> would run it again." in page
    assert "taskmill task" not in page
    page = (await pages.get(f"/ui/tasks/{task.id}", headers={"accept-language": "ru"})).text
    assert "<b>«Повторить»</b> запустит её снова." in page
    assert "taskmill task" not in page


async def test_who_has_no_buttons_is_shown_commands(stage: Stage) -> None:
    task = await stage.created(queue="mail")
    await stage.service.cancel(task.id)
    async with serving_pages(stage, REQUIRED) as closed:
        for grants, shown in (
            (("tasks:read",), f"<code>taskmill task retry {task.id}</code>"),
            (("tasks:read", "tasks:operate queue=mail"), "<b>Retry</b>"),
        ):
            session = await visitor(closed, stage, *grants)
            page = (await closed.get(f"/ui/tasks/{task.id}", headers=session)).text
            assert f"Nothing. {shown} would run it again." in page
