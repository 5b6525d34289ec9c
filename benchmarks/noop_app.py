"""The handlers of `handler_drain` and of the pick-up scenarios: typed, and without any work."""

from pydantic import BaseModel

from benchmarks.peers import given
from taskmill import Context, Taskmill

app = Taskmill()


class Letter(BaseModel):
    to: str
    subject: str
    copies: int = 1


class Probe(BaseModel):
    number: int


@app.task("noop")
async def noop(letter: Letter, context: Context) -> dict[str, int]:
    return {"copies": letter.copies, "attempt": context.attempt}


@app.task("stamp")
async def stamp(probe: Probe) -> None:
    """Note that it begins, in the file that the environment names."""
    given.begun().note(probe.number)
