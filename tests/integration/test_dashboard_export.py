"""The file of tasks that spreadsheets open."""

import codecs

from tests.support.api import Served


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
