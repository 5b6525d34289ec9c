"""What the scene has: queues, types, causes of failures, and how many tasks of each. They are values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from taskmill.domain.error_kinds import kind_of
from taskmill.domain.lifecycle import ErrorInfo

TASKS: Final = 200_000
PAST: Final = timedelta(hours=26)
"""Since when there have been tasks: a day, and something before it."""
LATELY: Final = timedelta(minutes=40)
"""Since when there is a new kind of error, and charging cards fails far more often."""
LATE: Final = timedelta(minutes=14)
"""For how long the oldest task of the backlog has been due."""

BACKLOG: Final = 6_435
RETRYING: Final = 1_500
SCHEDULED: Final = 2_400
HELD: Final = 1_200
UNSERVED: Final = 300
EXPIRING: Final = 8
PRINTED: Final = 5
UNPAID: Final = 20
LARGE: Final = 12
REFUSED: Final = {"orders": 30, None: 10}
"""How many messages are refused, by the queue that they are for; None: they can't be read."""

PAUSED_QUEUE: Final = "gpu"
LARGE_BYTES: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why tasks fail: the class of an error, its message with a number in it, its place in the handlers' code."""

    error: str
    message: str
    place: str | None = None

    def of(self, number: int) -> ErrorInfo:
        """Return the error of a task."""
        return ErrorInfo(
            type=self.error, message=self.message.format(number), place=self.place, fingerprint=None
        )


def error_json(error: ErrorInfo) -> str:
    """Return an error as a task's row has it."""
    place = {} if error.place is None else {"place": error.place}
    return json.dumps({"type": error.type, "message": error.message, **place})


HTML: Final = (
    "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    "<body><h1>502 Bad Gateway</h1><p>Request {}</p></body>\n</html>"
)
TRACEBACK: Final = (
    "Traceback (most recent call last):\n"
    '  File "/srv/shop/orders.py", line 88, in confirm\n    cursor.execute(LOCK, order)\n'
    "DeadlockDetected: order {} is locked"
)
NEW_CAUSE: Final = "currency"
CAUSES: Final[Mapping[str, Cause]] = {
    "smtp": Cause(
        error="TimeoutError",
        message="smtp.example.org did not respond within 5 s to mail {}",
        place="shop.mail.send",
    ),
    "mailbox": Cause(error="MailboxUnavailable", message="550 no mailbox of customer {}"),
    "card": Cause(error="CardDeclined", message="card {} is blocked", place="shop.billing.charge"),
    "gateway": Cause(error="GatewayError", message=HTML),
    "vat": Cause(error="KeyError", message="'vat_{}'", place="shop.invoices.total"),
    "stock": Cause(error="OutOfStock", message="article {} is sold out"),
    "deadlock": Cause(error="DeadlockDetected", message=TRACEBACK),
    "image": Cause(
        error="ImageError", message="upload-{}.heic: not a picture", place="shop.images.resize"
    ),
    "memory": Cause(error="MemoryError", message="a picture of {0} x {0} pixels"),
    "report": Cause(
        error="ReportError", message="page {} has no figures", place="shop.reports.build"
    ),
    "codec": Cause(
        error="UnicodeDecodeError", message="'utf-8' codec can't decode byte 0xff in position {}"
    ),
    "shard": Cause(error="SearchUnavailable", message="shard {} does not respond"),
    "mapping": Cause(
        error="MappingError", message="article {} has no title", place="shop.search.index"
    ),
    "limited": Cause(error="HTTPStatusError", message="429 Too Many Requests, retry in {} s"),
    "refused": Cause(error="ConnectionError", message="10.0.3.{}:9000 refused the connection"),
    "russian": Cause(error="ОшибкаСвязи", message="узел {} не отвечает: время ожидания истекло"),
    "arabic": Cause(error="ValidationError", message="العميل رقم {} غير موجود"),
    "turned": Cause(error="BadFileName", message="invoice-\u202efdp.{}.exe is not a picture"),
    "disk": Cause(error="DiskFull", message="no room for {} rows", place="shop.exports.write"),
    NEW_CAUSE: Cause(error="CurrencyError", message="no rate for XAU", place="shop.convert"),
}
KINDS: Final = frozenset(kind_of(cause.of(1)) for cause in CAUSES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The tasks of one type: how many of a thousand past ones, how long they run, and how many fail why."""

    type: str
    queue: str
    share: int
    runs_s: float
    fails: float
    causes: Sequence[str]
    names: Sequence[str]


WORKS: Final = (
    Work(
        type="send-email",
        queue="mail",
        share=370,
        runs_s=0.4,
        fails=0.02,
        causes=("smtp", "mailbox"),
        names=(
            "Send the welcome mail to customer {}",
            "Отправить письмо клиенту {}",
            "שלח את העלון ללקוח {}",
        ),
    ),
    Work(
        type="charge-card",
        queue="billing",
        share=90,
        runs_s=1.2,
        fails=0.04,
        causes=("card", "card", "gateway"),
        names=("Charge the card of customer {}",),
    ),
    Work(
        type="issue-invoice",
        queue="billing",
        share=45,
        runs_s=0.8,
        fails=0.02,
        causes=("vat", "gateway"),
        names=("Issue the invoice of order {}", "Выставить счёт по заказу {}"),
    ),
    Work(
        type="confirm-order",
        queue="orders",
        share=80,
        runs_s=0.3,
        fails=0.01,
        causes=("stock", "deadlock"),
        names=("Confirm order {}", "تأكيد الطلب {}"),
    ),
    Work(
        type="resize-photo",
        queue="images",
        share=100,
        runs_s=3.0,
        fails=0.05,
        causes=("image", "image", "memory", "turned"),
        names=("Resize the photos of article {}",),
    ),
    Work(
        type="build-report",
        queue="reports",
        share=20,
        runs_s=60.0,
        fails=0.06,
        causes=("report", "memory", "codec", "disk"),
        names=("Build the report of region {}",),
    ),
    Work(
        type="index-article",
        queue="search",
        share=110,
        runs_s=0.2,
        fails=0.02,
        causes=("shard", "mapping", "refused"),
        names=("Index article {}",),
    ),
    Work(
        type="sync-crm",
        queue="sync",
        share=45,
        runs_s=2.0,
        fails=0.08,
        causes=("limited", "refused", "arabic", "deadlock"),
        names=("Sync customer {} with the CRM",),
    ),
    Work(
        type="plan-delivery",
        queue="deliveries",
        share=50,
        runs_s=8.0,
        fails=0.02,
        causes=("refused",),
        names=("Plan the delivery of order {}",),
    ),
    Work(
        type="push-message",
        queue="notifications",
        share=50,
        runs_s=0.1,
        fails=0.04,
        causes=("limited", "refused", "russian"),
        names=("Notify customer {}", "أرسل إشعارًا إلى العميل {}"),
    ),
    Work(
        type="export-orders",
        queue="exports",
        share=20,
        runs_s=20.0,
        fails=0.05,
        causes=("disk", "refused"),
        names=("Export the orders of customer {}",),
    ),
    Work(
        type="import-prices",
        queue="imports",
        share=20,
        runs_s=12.0,
        fails=0.05,
        causes=("codec",),
        names=("Import the prices of supplier {}",),
    ),
)
BY_TYPE: Final[Mapping[str, Work]] = {work.type: work for work in WORKS}
HELD_TYPE: Final = "train-model"
UNSERVED_TYPE: Final = "transcode-video"
LOST_TYPE: Final = "print-label"
"""Only the worker that is killed runs it."""
TYPES: Final = (*BY_TYPE, HELD_TYPE, UNSERVED_TYPE, LOST_TYPE)
QUEUES: Final = tuple(dict.fromkeys([*(work.queue for work in WORKS), PAUSED_QUEUE]))


def payload_of(type_: str, number: int) -> dict[str, object]:
    """Return the payload of a task, as its handler takes it."""
    match type_:
        case "send-email":
            return {"to": f"{number}@example.org"}
        case "charge-card":
            return {"amount": number % 500, "currency": "EUR"}
        case _:
            return {"customer": number}
