"""What a task's page shows of its logs, and the file of all of them."""

import re

from taskmill.domain.lifecycle import Interrupted
from taskmill.storage import task_log
from taskmill.storage.claims import TakenTask
from tests.support.api import Served
from tests.support.log_lines import a_line
from tests.support.stage import Stage

SHOWN = 200


async def two_claims(stage: Stage) -> TakenTask:
    """Return a task that a worker has claimed twice, with two lines of each claim."""
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await task_log.store(
        stage.database,
        [
            a_line(taken, stage, 1, level=10),
            a_line(taken, stage, 2, level=40, fields='{"card": "Visa 42"}'),
        ],
    )
    await stage.end(taken, lease, Interrupted())
    [again] = await stage.take(lease)
    await task_log.store(stage.database, [a_line(again, stage, seq) for seq in (1, 2)])
    return again


def shown(html: str) -> list[str]:
    """Return the ids of the lines on a page."""
    return re.findall(r'<li id="l(\d+-\d+)"', html)


async def test_lines_are_chosen_by_attempt_level_and_text(pages: Served, stage: Stage) -> None:
    taken = await two_claims(stage)
    found = {}
    for query in ("", "claim=2", "level=error", "text=visa", "text=LINE%201&claim=1", "text=none"):
        html = (await pages.get(f"/ui/tasks/{taken.task.id}?{query}")).text
        found[query] = shown(html)
    assert found == {
        "": ["1-1", "1-2", "2-1", "2-2"],
        "claim=2": ["2-1", "2-2"],
        "level=error": ["1-2"],
        "text=visa": ["1-2"],
        "text=LINE%201&claim=1": ["1-1"],
        "text=none": [],
    }
    html = (await pages.get(f"/ui/tasks/{taken.task.id}?text=none")).text
    assert "No line matches" in html
    assert 'value="none"' in html


async def test_levels_are_in_the_readers_language(pages: Served, stage: Stage) -> None:
    taken = await two_claims(stage)
    russian = {"accept-language": "ru"}
    html = (await pages.get(f"/ui/tasks/{taken.task.id}", headers=russian)).text
    names = re.findall(r"<option value=\"(\w*)\"[^>]*>([^<]+)</option>", html)
    assert ("warning", "предупреждение и выше") in names
    assert ("error", "ошибка и выше") in names


async def test_each_attempt_has_a_heading_among_lines_of_several(
    pages: Served, stage: Stage
) -> None:
    taken = await two_claims(stage)
    html = (await pages.get(f"/ui/tasks/{taken.task.id}")).text
    assert re.findall(r'class="at-claim" id="c(\d)"', html) == ["1", "2"]
    html = (await pages.get(f"/ui/tasks/{taken.task.id}?claim=2")).text
    assert "at-claim" not in html
    assert re.findall(r'<option value="(\d)" selected', html) == ["2"]


async def test_times_of_lines_have_milliseconds(pages: Served, stage: Stage) -> None:
    taken = await two_claims(stage)
    html = (await pages.get(f"/ui/tasks/{taken.task.id}?claim=2")).text
    assert re.search(r"data-clock>\d\d:\d\d:\d\d\.\d{3}</time>", html)


async def test_all_lines_that_match_are_in_the_file(pages: Served, stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    traceback = '{"exception": "Traceback\\n  a frame", "card": 7}'
    lines = [
        *(a_line(taken, stage, seq) for seq in range(1, 2501)),
        a_line(taken, stage, 2501, level=40, fields=traceback),
    ]
    await task_log.store(stage.database, lines)
    address = f"/ui/tasks/{taken.task.id}"
    assert len(shown((await pages.get(address)).text)) == SHOWN
    response = await pages.get(f"{address}/logs.txt")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert f'filename="{taken.task.id}.log"' in response.headers["content-disposition"]
    rows = response.text.splitlines()
    assert [row.split()[-1] for row in rows[:2500]] == [str(seq) for seq in range(1, 2501)]
    assert re.fullmatch(r"\S+Z INFO     line 1", rows[0])
    assert re.fullmatch(r'\S+Z ERROR    line 2501 {"card":7}', rows[2500])
    assert rows[2501:] == ["    Traceback", "      a frame"]
    response = await pages.get(f"{address}/logs.txt?level=error")
    assert len(response.text.splitlines()) == 3


async def test_filters_that_are_none_are_refused(pages: Served, stage: Stage) -> None:
    taken = await two_claims(stage)
    address = f"/ui/tasks/{taken.task.id}"
    for query in ("claim=0", "claim=x", "claim=1234567890", "level=loud", f"text={'x' * 201}"):
        for path in (address, f"{address}/logs.txt"):
            response = await pages.get(f"{path}?{query}")
            assert response.status_code == 422, (path, query)


async def test_an_unknown_task_has_no_file(pages: Served) -> None:
    response = await pages.get("/ui/tasks/01970000-0000-7000-8000-000000000000/logs.txt")
    assert response.status_code == 404
