"""The handler of `handler_drain`: typed, and nothing else."""

from pydantic import BaseModel

from taskmill import Context, Taskmill

app = Taskmill()


class Letter(BaseModel):
    to: str
    subject: str
    copies: int = 1


@app.task("noop")
async def noop(letter: Letter, context: Context) -> dict[str, int]:
    return {"copies": letter.copies, "attempt": context.attempt}
