"""Every address of a thing that may be of several queues: for a key that has all of them, none, or only some."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from uuid import uuid4

import pytest

from taskmill.api.access_rules import RULES, Check, Rule
from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import InvalidInput
from taskmill.domain.quotas import Owner
from taskmill.domain.webhooks import WebhookDraft
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.refusals import store_refused
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage, a_webhooks

HIDDEN, SHOWN, REFUSED = "like one that is not there", "there", "refused"
OWN, OTHER = "mail", "elsewhere"


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def a_worker(stage: Stage, *queues: str) -> str:
    return str(await stage.open_lease(ttl_s=600, queues=queues))


async def a_message(stage: Stage, queue: str | None) -> str:
    error = InvalidInput.at("/name", "another one", "this one")
    message = CreationMessage(body=b'{"name": "a", "queue": "%s"}' % (queue or OWN).encode())
    [stored] = await store_refused(stage.url, [refused_message(message, error, queue)])
    return stored


async def a_webhook(stage: Stage, owner: str, *queues: str) -> str:
    draft = WebhookDraft(url="https://example.org/", queues=queues)
    webhook, _ = await a_webhooks(stage.database, stage.ids).create(draft, None, Owner(owner, ()))
    return str(webhook.id)


async def a_type(stage: Stage, *queues: str) -> str:
    name = f"type-{uuid4()}"
    for queue in queues:
        contract = TypeContract(type=name, schema="{}", defaults={"queue": queue})
        await stage.service.contracts.register(contract, by="test")
    return name


async def a_schedule(stage: Stage, queue: str) -> str:
    return (
        await Scheduler(stage).put(f"schedule-{uuid4()}", task={"name": "a", "queue": queue})
    ).name


Made = Mapping[str, tuple[Awaitable[str], str]]
THINGS: Mapping[Check, Callable[[Stage], Made]] = {
    Check.WORKER: lambda stage: {
        "own": (a_worker(stage, OWN), SHOWN),
        "other": (a_worker(stage, OTHER), HIDDEN),
        "mixed": (a_worker(stage, OWN, OTHER), REFUSED),
        "of all": (a_worker(stage), REFUSED),
    },
    Check.REJECTION: lambda stage: {
        "own": (a_message(stage, OWN), SHOWN),
        "other": (a_message(stage, OTHER), HIDDEN),
        "unknown": (a_message(stage, None), HIDDEN),
    },
    Check.OWN: lambda stage: {
        "own": (a_webhook(stage, "team", OWN), SHOWN),
        "mixed": (a_webhook(stage, "team", OWN, OTHER), SHOWN),
        "other": (a_webhook(stage, "others", OTHER), HIDDEN),
        "of others": (a_webhook(stage, "others", OWN), HIDDEN),
    },
    Check.CONTRACT: lambda stage: {
        "own": (a_type(stage, OWN), SHOWN),
        "other": (a_type(stage, OTHER), HIDDEN),
        "was other": (a_type(stage, OTHER, OWN), SHOWN),
        "was own": (a_type(stage, OWN, OTHER), HIDDEN),
    },
    Check.SCHEDULE: lambda stage: {
        "own": (a_schedule(stage, OWN), SHOWN),
        "other": (a_schedule(stage, OTHER), HIDDEN),
    },
    Check.TYPE: lambda stage: {
        "own": (a_type(stage, OWN), REFUSED),
        "other": (a_type(stage, OTHER), REFUSED),
    },
}
ROUTES = [
    pytest.param(route, rule, id=route)
    for route, rule in RULES.items()
    if rule.check in THINGS and "{" in route
]


def test_every_check_of_one_thing_is_here() -> None:
    """Those of tasks, leases, queues, sessions, failures and bodies have tests of their own."""
    of_one = {rule.check for route, rule in RULES.items() if "{" in route}
    apart = {Check.TASK, Check.LEASE, Check.QUEUE, Check.KEY, Check.BODY, Check.VISIBLE, Check.ALL}
    assert of_one - apart == set(THINGS)


@pytest.mark.parametrize(("route", "rule"), ROUTES)
async def test_a_thing_of_several_queues_is_shown_hidden_or_refused(
    required: Served, stage: Stage, route: str, rule: Rule
) -> None:
    await stage.created(queue=OWN)
    await stage.created(queue=OTHER)
    key = shown(await a_new_key(stage.database, f"{rule.scope} queue={OWN}", name="team"))
    method, _, path = route.partition(" ")

    async def anonymous(wanted: str) -> tuple[int, str]:
        address = re.sub(r"\{(id|name)\}", wanted, path).replace("{delivery}", "7")
        body: dict[str, object] | None = {} if method in {"PATCH", "PUT"} else None
        response = await required.http.request(method, address, json=body, headers=key)
        return response.status_code, response.text.replace(wanted, "ID")

    unknown = await anonymous(str(uuid4()) if rule.check is not Check.CONTRACT else "nowhere")
    for name, (made, expected) in THINGS[rule.check](stage).items():
        found = await anonymous(await made)
        if expected == HIDDEN:
            assert found == unknown, name
            assert found[0] == 404
        elif expected == REFUSED:
            assert found[0] == 403, name
        else:
            assert found != unknown, name
            assert found[0] != 403, (name, found)
        assert OTHER not in found[1].replace('"queues":["mail","elsewhere"]', "")
