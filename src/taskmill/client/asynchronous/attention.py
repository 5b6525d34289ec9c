"""The methods for what needs attention, and for the doctor."""

from taskmill.client import attention
from taskmill.client.asynchronous.sending import AsyncSender
from taskmill.client.attention import NoticeId
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.client.views.doctor import DoctorReportView


class AsyncAttentionCalls(AsyncSender):
    """What needs attention."""

    async def attention(self) -> AttentionView:
        """Read what needs attention, the worst first."""
        return await self._send(attention.everything())

    async def doctor(self) -> DoctorReportView:
        """Examine the service: what is wrong with it, with evidence and a command that fixes it; needs `admin`."""
        return await self._send(attention.examine())

    async def acknowledge(self, notice_id: NoticeId, note: str | None = None) -> NoticeView:
        """Acknowledge a notice: it does not count until it ends."""
        return await self._send(attention.change(notice_id, "acknowledged", note))

    async def silence(self, notice_id: NoticeId, note: str | None = None) -> NoticeView:
        """Silence a notice: it does not count for an hour."""
        return await self._send(attention.change(notice_id, "silenced", note))

    async def reopen(self, notice_id: NoticeId) -> NoticeView:
        """Let a notice count again."""
        return await self._send(attention.change(notice_id, "open", None))
