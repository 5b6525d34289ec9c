"""The broker: refused messages, and room on the pages of `dispatch` for marking what is released."""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BROKER = """
-- A mark changes no indexed column: with room on its page it touches no index.
ALTER TABLE taskmill.dispatch SET (fillfactor = 70);

-- `body` is the message as it came. The same refused message, delivered again, stays one row. json, not jsonb:
-- it is shown as it was written.
CREATE TABLE taskmill.rejection (
    id uuid NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    door text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    body_hash bytea NOT NULL,
    headers json NOT NULL,
    status integer NOT NULL,
    problem json NOT NULL,
    redeliveries integer NOT NULL DEFAULT 0,
    resent_at timestamptz,
    task_id uuid
);

CREATE UNIQUE INDEX rejection_message ON taskmill.rejection (door, message_id, body_hash)
    WHERE message_id IS NOT NULL;
"""

UNDO = """
DROP TABLE taskmill.rejection;

ALTER TABLE taskmill.dispatch RESET (fillfactor);
"""


def upgrade() -> None:
    for command in commands(BROKER):
        op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
