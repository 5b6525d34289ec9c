"""What many services do: FastAPI, a pydantic body, and one INSERT for each request, committed before the response.

The same server as `baseline.py`, a pool of asyncpg (its default of ten connections, all open from the start), and
a table with a primary key. Ids are made by the application; nothing else is stored.
"""

import argparse
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from fastapi import FastAPI

from benchmarks.baseline import NewTask, serve

_CONNECTIONS = 10
_TABLE = """
CREATE TABLE IF NOT EXISTS task (
    id uuid PRIMARY KEY, name text NOT NULL, description text, payload jsonb, status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT = """
INSERT INTO task (id, name, description, payload, status) VALUES ($1, $2, $3, $4::jsonb, 'new')
"""


def inserting_app(url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            url, min_size=_CONNECTIONS, max_size=_CONNECTIONS
        ) as app.state.pool:
            await app.state.pool.execute(_TABLE)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/tasks", status_code=201)
    async def create(task: NewTask) -> dict[str, str]:
        task_id = uuid.uuid4()
        payload = None if task.payload is None else json.dumps(task.payload)
        await app.state.pool.execute(_INSERT, task_id, task.name, task.description, payload)
        return {"id": str(task_id), "status": "new"}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    serve(inserting_app(options.url), options.ready_file, lifespan="on")


if __name__ == "__main__":
    main()
