"""The baseline of HTTP figures: the least that FastAPI can do. Frozen: a change would break comparability.

`create` has one POST that validates a body with pydantic and responds from memory; nothing is stored. `read`
has one GET for ids that it knows. Both run on uvicorn with uvloop and httptools, without an access log.
"""

import argparse
import json
import socket
import uuid
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class NewTask(BaseModel):
    """The body of POST /tasks."""

    name: str
    description: str | None = None
    payload: dict[str, Any] | None = None


def create_app() -> FastAPI:
    app = FastAPI()

    @app.post("/tasks", status_code=201)
    async def create(task: NewTask) -> dict[str, str]:  # noqa: ARG001 - it is validated, that is all
        return {"id": str(uuid.uuid4()), "status": "new"}

    return app


def read_app(known: set[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/tasks/{task_id}")
    async def read(task_id: uuid.UUID) -> dict[str, str]:
        if str(task_id) not in known:
            raise HTTPException(404)
        return {"id": str(task_id), "status": "new"}

    return app


def serve(app: FastAPI, ready_file: Path, *, lifespan: Literal["on", "off"] = "off") -> None:
    """Serve on a free port until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        lifespan=lifespan,
    )
    ready_file.write_text(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}))
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--paths", type=Path, help="serve GET for these paths; POST when left out")
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    if options.paths is None:
        app = create_app()
    else:
        app = read_app({line.rpartition("/")[2] for line in options.paths.read_text().splitlines()})
    serve(app, options.ready_file)


if __name__ == "__main__":
    main()
