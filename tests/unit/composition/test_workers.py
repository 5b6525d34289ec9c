"""How settings become the parts of a worker."""

from taskmill import settings as configuration
from taskmill.composition.process_context import ProcessContext
from taskmill.composition.workers import _line_limits
from taskmill.worker.task_log import NOTHING, LineLimits

NOWHERE = "postgresql://nowhere/none"


def limits(**task_log: object) -> LineLimits:
    return _line_limits(ProcessContext(configuration.load(database_url=NOWHERE, task_log=task_log)))


def test_the_bounds_of_lines_are_the_settings() -> None:
    assert limits() == LineLimits()
    given = {"claim_lines": 1, "claim_bytes": 2, "message_chars": 3, "waiting_bytes": 4}
    assert limits(**given, fields_bytes=256) == LineLimits(**given, fields_bytes=256)


def test_a_level_is_a_number_and_off_stores_nothing() -> None:
    levels = ("debug", "info", "warning", "error")
    assert [limits(level=level).level for level in levels] == [10, 20, 30, 40]
    assert limits(level="off").level == NOTHING
