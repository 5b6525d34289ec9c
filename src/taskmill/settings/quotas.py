"""Settings of how much of what all share one API key may have; `operations/quotas` checks them."""

from pydantic import Field

from taskmill.domain.quotas import MOST_WAITING
from taskmill.settings.group import Group
from taskmill.settings.values import CountOrZero


class QuotaSettings(Group):
    """How much all API keys of one name may have, unless the key says otherwise; 0 is any number."""

    queues: CountOrZero = Field(
        500, description="most queues that exist because their tasks named them first"
    )
    types: CountOrZero = Field(
        250,
        description="most types that wait without a contract, and without a worker in the last hour, because "
        "their tasks named them first",
    )
    webhooks: CountOrZero = Field(500, description="most webhooks")
    streams: CountOrZero = Field(
        500,
        description="most open streams of `GET /events`, and pages of events of the dashboard, in one API process",
    )
    schedules: CountOrZero = Field(50_000, description="most schedules")
    waiting_tasks: int = Field(
        0,
        ge=0,
        le=MOST_WAITING,
        description="most tasks that it created and that no worker has claimed yet",
    )
    waiting_kib: CountOrZero = Field(
        0,
        description="most KiB of names, descriptions, payloads and labels in tasks that it created and that no "
        "worker has claimed yet",
    )
