"""The files of tasks: for spreadsheets, and for programs."""

import codecs
import csv
import io

import orjson

from tests.support.api import Served
from tests.support.stage import Stage


async def test_a_csv_begins_with_a_byte_order_mark_on_request(pages: Served) -> None:
    await pages.create(name="строка")
    plain = (await pages.get("/ui/tasks/export.csv")).content
    assert not plain.startswith(codecs.BOM_UTF8)
    assert (await pages.get("/ui/tasks/export.csv?bom=0")).content == plain
    marked = await pages.get("/ui/tasks/export.csv?bom=1")
    assert marked.content == codecs.BOM_UTF8 + plain
    assert (await pages.get("/ui/tasks/export.csv?bom=yes")).status_code == 422
    listed = (await pages.get("/ui/tasks?queue=default")).text
    assert "export.csv?queue=default&amp;bom=1" in listed


async def test_all_tasks_come_as_csv_and_as_lines(pages: Served, stage: Stage) -> None:
    names = ["=1+1", "\N{FULLWIDTH COMMERCIAL AT}SUM(1)", 'a "quoted", name', "строка"] + [
        f"task {number}" for number in range(600)
    ]
    for name in names:
        await stage.created(name=name, queue="mine")
    await stage.created(name="other")
    response = await pages.get("/ui/tasks/export.csv?queue=mine&order=asc")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["name"] for row in rows] == ["'=1+1", f"'{names[1]}", *names[2:]]
    assert rows[0]["status"] == "new"
    response = await pages.get("/ui/tasks/export.ndjson?queue=mine&order=asc")
    assert [orjson.loads(line)["name"] for line in response.text.splitlines()] == names
