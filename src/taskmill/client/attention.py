"""The calls for what needs attention, and for the doctor."""

from typing import Literal, TypeAlias
from uuid import UUID

from taskmill.client.calls import Call, got, path_of, sent
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.client.views.doctor import DoctorReportView

NoticeId: TypeAlias = UUID | str
NoticeState: TypeAlias = Literal["acknowledged", "silenced", "open"]


def everything() -> Call[AttentionView]:
    """Read what needs attention."""
    return got("/attention", AttentionView)


def examine() -> Call[DoctorReportView]:
    """Examine the service."""
    return got("/doctor", DoctorReportView)


def change(notice_id: NoticeId, state: NoticeState, note: str | None) -> Call[NoticeView]:
    """Acknowledge or silence a notice, or let it count again."""
    body = {"state": state, "note": note}
    return sent("PATCH", path_of("attention", str(notice_id)), body, NoticeView, repeatable=True)
