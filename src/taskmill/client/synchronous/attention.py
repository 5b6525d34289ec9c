"""The methods for what needs attention, and for the doctor."""

from taskmill.client import attention
from taskmill.client.attention import NoticeId
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.client.views.doctor import DoctorReportView


class AttentionCalls(Sender):
    """What needs attention."""

    def attention(self) -> AttentionView:
        """Read what needs attention, the worst first."""
        return self._send(attention.everything())

    def doctor(self) -> DoctorReportView:
        """Examine the service: what is wrong with it, with evidence and a command that fixes it; needs `admin`."""
        return self._send(attention.examine())

    def acknowledge(self, notice_id: NoticeId, note: str | None = None) -> NoticeView:
        """Acknowledge a notice: it does not count until it ends."""
        return self._send(attention.change(notice_id, "acknowledged", note))

    def silence(self, notice_id: NoticeId, note: str | None = None) -> NoticeView:
        """Silence a notice: it does not count for an hour."""
        return self._send(attention.change(notice_id, "silenced", note))

    def reopen(self, notice_id: NoticeId) -> NoticeView:
        """Let a notice count again."""
        return self._send(attention.change(notice_id, "open", None))
