"""Refused messages are shown as their models, with any body."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from taskmill.domain.rejection import Rejection, RejectionSummary
from taskmill.wire.rejections import (
    RejectionList,
    RejectionView,
    rejection_json,
    rejections_json,
)

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SUMMARY = RejectionSummary(
    id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    created_at=NOON,
    source="amqp",
    message_id=None,
    body_bytes=2,
    properties='{"priority":3}',
    status=422,
    problem='{"type":"/problems/invalid-input","title":"No","status":422,"detail":"no"}',
    redeliveries=1,
    resent_at=None,
    task_id=None,
)


@pytest.mark.parametrize(
    ("body", "encoding", "shown"),
    [
        (b"{}", "utf-8", "{}"),
        ("é\n\x00".encode(), "utf-8", "é\n\x00"),
        (b"\xff\x00", "base64", "/wA="),
        (b"", "utf-8", ""),
    ],
)
def test_a_body_is_shown_as_text_or_else_in_base64(body: bytes, encoding: str, shown: str) -> None:
    view = RejectionView.model_validate_json(rejection_json(Rejection(summary=SUMMARY, body=body)))
    assert (view.body_encoding, view.body) == (encoding, shown)
    assert view.problem.detail == "no"
    assert view.properties == {"priority": 3}


def test_a_list_has_no_bodies_and_a_cursor_or_none() -> None:
    resent = replace(SUMMARY, resent_at=NOON, task_id=SUMMARY.id)
    page = RejectionList.model_validate_json(rejections_json([SUMMARY, resent], "next"))
    assert [item.task_id for item in page.items] == [None, SUMMARY.id]
    assert page.items[1].resent_at == NOON
    assert page.next_cursor == "next"
    assert json.loads(rejections_json([], None)) == {"items": [], "next_cursor": None}
