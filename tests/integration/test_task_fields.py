"""Every field that can be given comes back: over HTTP, from SQL, from the service in memory, on pages."""

import orjson
import pytest

from taskmill.dashboard.pages.create_form import form_names
from taskmill.domain.task_fields import GIVEN, SHOWN, Kind, TaskField
from taskmill.testing import ServiceInMemory
from tests.support import sql
from tests.support.api import Served
from tests.support.stage import Stage
from tests.support.task_fields import VALUES

BOTH = [field for field in GIVEN if field in SHOWN]
ROWS = [field for field in BOTH if field.is_row]


@pytest.mark.parametrize("field", BOTH, ids=lambda field: field.name)
async def test_a_field_comes_back_over_http(api: Served, field: TaskField) -> None:
    value = VALUES[field.kind]
    created = await api.create(**{field.name: value})
    read = (await api.get(f"/tasks/{created['id']}")).json()
    [listed] = (await api.get("/tasks")).json()["items"]
    assert created[field.name] == read[field.name] == listed[field.name] == value


async def test_sql_takes_every_field(api: Served, stage: Stage) -> None:
    arguments = await stage.sql.fetchval(
        "SELECT proargnames FROM pg_proc WHERE oid = 'taskmill.create_task'::regproc"
    )
    assert set(arguments) == {field.name for field in GIVEN} | {"traceparent"}
    for field in BOTH:
        value = VALUES[field.kind]
        given = orjson.dumps(value).decode() if isinstance(value, dict | list) else value
        if field.kind is not Kind.TIME:  # asyncpg takes no texts for them
            made = await sql.create(stage.sql, **{field.name: given})
            assert (await api.get(f"/tasks/{made}")).json()[field.name] == value


@pytest.mark.parametrize("field", BOTH, ids=lambda field: field.name)
def test_the_service_in_memory_keeps_a_field(field: TaskField) -> None:
    value = VALUES[field.kind]
    with ServiceInMemory().client() as client:
        made = client.create(**{"name": "a task", field.name: value})
        assert client.get(made.id).to_json()[field.name] == value


async def test_the_form_for_a_new_task_has_every_field(pages: Served) -> None:
    form = (await pages.get("/ui/create")).text
    missing = [
        name
        for field in GIVEN
        for name in form_names(field)
        if f'name="{name}"' not in form and field.kind is not Kind.OBJECT
    ]
    assert missing == []


@pytest.mark.parametrize("field", ROWS, ids=lambda field: field.name)
async def test_the_page_of_a_task_and_the_form_like_it_show_what_is_set(
    pages: Served, field: TaskField
) -> None:
    task = await pages.create(**{field.name: VALUES[field.kind]})
    plain = await pages.create()
    with_row = (await pages.get(f"/ui/tasks/{task['id']}")).text
    without = (await pages.get(f"/ui/tasks/{plain['id']}")).text
    assert f"<dt>{field.label}</dt>" in with_row
    assert f"<dt>{field.label}</dt>" not in without
    assert (
        f'value="{VALUES[field.kind]}"' in (await pages.get(f"/ui/create?like={task['id']}")).text
    )
