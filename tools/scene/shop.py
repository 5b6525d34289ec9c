"""The handlers of the scene's workers, which wait instead of working. It is copied to where they are started."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from taskmill import Context, PermanentFailure, Taskmill

app = Taskmill()
doomed = Taskmill()

_QUICK: Final[Mapping[str, float]] = {
    "issue-invoice": 0.8,
    "confirm-order": 0.3,
    "resize-photo": 3,
    "index-article": 0.2,
    "sync-crm": 2,
    "push-message": 0.1,
    "export-orders": 20,
    "train-model": 60,
}
_DELIVERY_S: Final = 30
_PRINTING_S: Final = 600
_RATES: Final[Mapping[str, float]] = {"EUR": 1, "USD": 1.08}


class CurrencyError(PermanentFailure):
    """There is no rate of a currency."""


def waiting(seconds: float) -> Callable[..., Awaitable[dict[str, int]]]:
    """Return a handler that takes so long."""

    async def run(context: Context, customer: int = 0) -> dict[str, int]:
        context.logger.info("begins", customer=customer)
        await asyncio.sleep(seconds)
        return {"customer": customer}

    return run


for name, seconds in _QUICK.items():
    app.task(name)(waiting(seconds))
for one in (app, doomed):
    one.task("plan-delivery")(waiting(_DELIVERY_S))
doomed.task("print-label")(waiting(_PRINTING_S))


@app.task("send-email")
async def send_email(to: str, context: Context) -> dict[str, object]:
    """Send nothing."""
    context.logger.info("connecting", host="mail.example.org")
    context.logger.info("sent", to=to)
    return {"message_id": "<42@example.org>", "recipients": [to]}


def convert(amount: int, currency: str) -> float:
    """Return an amount in euros."""
    if currency not in _RATES:
        message = f"no rate for {currency}"
        raise CurrencyError(message)
    return amount / _RATES[currency]


@app.task("charge-card", max_attempts=1)
async def charge_card(amount: int, context: Context, currency: str = "EUR") -> dict[str, float]:
    """Charge nothing."""
    context.logger.info("asking the bank", amount=amount, currency=currency)
    context.logger.warning("the bank is slow", waited_s=4.2)
    try:
        return {"charged": convert(amount, currency)}
    except CurrencyError:
        context.logger.exception("charging failed")
        raise


@app.task("build-report")
async def build_report(context: Context, customer: int = 0, pages: int = 600) -> dict[str, int]:
    """Build a page in a fifth of a second."""
    for page in range(pages):
        context.progress(page / pages, f"page {page} of {pages}")
        context.logger.info("page built", page=page)
        await asyncio.sleep(0.2)
    return {"customer": customer, "pages": pages}


@app.task("import-prices")
async def import_prices(context: Context, customer: int = 0, rows: str = "") -> dict[str, int]:
    """Import nothing."""
    context.logger.info("importing", chars=len(rows))
    return {"customer": customer, "chars": len(rows)}
