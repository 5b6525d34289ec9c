"""Contracts of task types: versions of schemas and defaults, which of them holds, and a count of changes.

Programs of before run with it: they take tasks without looking at contracts.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CONTRACTS = """
-- Every contract that was ever registered. `form` is the schema's normal form, which the doors walk; `schema` is
-- json, so that it is told as it came.
CREATE TABLE taskmill.type_contract (
    type text NOT NULL,
    version integer NOT NULL,
    digest bytea NOT NULL,
    schema json NOT NULL,
    form jsonb NOT NULL,
    defaults json NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    registered_by text NOT NULL,
    PRIMARY KEY (type, version)
);

CREATE UNIQUE INDEX type_contract_digest ON taskmill.type_contract (type, digest);

-- The contract that holds: the one that was registered last.
CREATE TABLE taskmill.task_type (
    name text NOT NULL PRIMARY KEY,
    version integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- One row; each change of task_type adds 1, so that doors need to look at nothing else.
CREATE TABLE taskmill.contract_revision (
    place text NOT NULL PRIMARY KEY,
    revision bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO taskmill.contract_revision (place, revision) VALUES ('all', 1);
"""

UNDO = """
DROP TABLE taskmill.contract_revision, taskmill.task_type, taskmill.type_contract;
"""


def upgrade() -> None:
    for command in commands(CONTRACTS):
        op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
