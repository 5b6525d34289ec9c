"""The app that the service of the browser tests runs."""

import asyncio

from taskmill import Context, Taskmill

app = Taskmill()


@app.task("send-email")
async def send_email(to: str, context: Context) -> dict[str, object]:
    context.logger.info("connecting", host="mail.example.org")
    context.logger.info("sent", to=to)
    return {"message_id": "<42@example.org>", "recipients": [to]}


async def ask_the_bank() -> None:
    raise TimeoutError("the bank did not answer within 5 s")


@app.task("charge-card", max_attempts=1)
async def charge_card(amount: int, context: Context) -> None:
    context.logger.warning("the bank is slow", amount=amount)
    try:
        await ask_the_bank()
    except TimeoutError as error:
        context.logger.exception("charging failed")
        raise RuntimeError(f"could not charge {amount} EUR") from error


@app.task("build-report")
async def build_report(context: Context, pages: int = 600) -> dict[str, object]:
    for page in range(pages):
        context.progress(page / pages, f"page {page} of {pages}")
        context.logger.info("page built", page=page)
        await asyncio.sleep(0.2)
    return {"pages": pages}


@app.task("shout", max_attempts=1)
async def shout(context: Context, lines: int) -> None:
    for number in range(lines):
        context.logger.info("אבג 🎉 long " * (number % 7 + 1), number=number)
    context.logger.error("x" * 5_000)
    raise RuntimeError("\n".join(f"  File {number}, in a place" for number in range(lines)))


@app.task("say", max_attempts=1)
async def say(text: str, context: Context) -> None:
    context.progress(0.5, f"{text} on its way")
    text_logged = f"{text} was text_logged"
    context.logger.info(text_logged, text=text, number=42)
    raise RuntimeError(f"{text} went wrong\nand that was all")
