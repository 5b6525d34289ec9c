"""What the rows of `taskmill top` say of queues."""

import pytest

from taskmill.cli.top.rows import QueueTrouble
from taskmill.domain.attention import NoticeKind
from tests.support.pictures import a_notice, a_picture, a_queue, a_snapshot


@pytest.mark.parametrize(
    ("kind", "of", "trouble"),
    [
        (NoticeKind.UNSERVED, "mail", QueueTrouble.UNSERVED),
        (NoticeKind.UNSERVED, "other", None),
        # It stands for the others of its kind.
        (NoticeKind.UNSERVED, None, None),
        (NoticeKind.NO_WORKERS, None, QueueTrouble.UNSERVED),
    ],
)
def test_a_queue_is_called_unserved_only_where_a_notice_is_about_it(
    kind: NoticeKind, of: str | None, trouble: QueueTrouble | None
) -> None:
    snapshot = a_snapshot(
        [a_queue("mail", waiting=3, oldest_s=12)], notices=[a_notice("it", kind, queue=of)]
    )
    [row] = a_picture(snapshot).board.queues
    assert row.trouble is trouble
