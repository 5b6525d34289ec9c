"""What a draft becomes before it is stored."""

from datetime import datetime, timedelta
from typing import Final

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.task import TaskDraft
from taskmill.operations.create import _weight
from taskmill.storage.tasks import NewTask
from tests.support.builders import a_draft
from tests.support.creations import NOON, VALIDITY, a_creation_without_database

LATER: Final = NOON + timedelta(hours=3)


@pytest.mark.parametrize(
    ("draft", "run_at"),
    [
        (a_draft(), NOON),
        (a_draft(run_at=LATER), LATER),
        (a_draft(delay=timedelta(hours=3)), LATER),
        (a_draft(delay=timedelta(0)), NOON),
        (a_draft(source="amqp"), NOON),
    ],
)
async def test_a_draft_gets_its_id_and_its_times_once(draft: TaskDraft, run_at: datetime) -> None:
    [new] = a_creation_without_database().with_ids([draft])
    assert new == NewTask(
        id=new.id,
        created_at=NOON,
        run_at=run_at,
        draft=draft,
        key_expires_at=NOON + VALIDITY,
    )


async def test_drafts_keep_their_order_and_get_ids_in_this_order() -> None:
    drafts = [a_draft(name=name) for name in "abc"]
    new = a_creation_without_database().with_ids(iter(drafts))
    assert [one.draft for one in new] == drafts
    assert [one.id for one in new] == sorted({one.id for one in new})


@pytest.mark.parametrize(
    ("parts", "weight"),
    [
        ({}, 2),
        ({"payload": "[12]", "labels": '{"a":"b"}'}, 13),
        ({"description": "four", "labels": "{}"}, 6),
        ({"payload": "[12]", "description": "five5"}, 11),
    ],
)
async def test_a_task_weighs_what_its_texts_do(parts: dict[str, str], weight: int) -> None:
    [new] = a_creation_without_database().with_ids([a_draft(**parts)])
    assert _weight(new) == weight


@pytest.mark.parametrize(
    "draft",
    [
        a_draft(queue="unknown"),
        a_draft(queue="known", type="unknown"),
        a_draft(queue="known", payload_error=InvalidInput(())),
    ],
)
async def test_what_has_to_be_looked_up_or_refused_is_not_begun_at_once(draft: TaskDraft) -> None:
    creation = a_creation_without_database()
    creation.queues._remember({"known"})
    assert creation.begin(draft) is None
