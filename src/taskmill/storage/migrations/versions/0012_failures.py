"""Failures by type and error, noted when a task fails; and the version that a worker runs.

Programs of before run with it, and what they do is noted, too: a trigger does it.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FAILURES = """
-- What failures of one kind have in common: the error's type, and the last line of its message with # for
-- numbers and ids. Only the message's end is looked at, and 200 characters of it are kept: it is part of a key.
CREATE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace(
            regexp_replace(
                right(btrim(coalesce(error ->> 'message', ''), E' \\t\\r\\n'), 4000), '^.*[\\r\\n]', ''),
            '\\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$;

-- Insert-only, folded into failure once a second.
CREATE TABLE taskmill.failure_delta (
    at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    error text NOT NULL,
    task_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- How many tasks failed so in a step of time, and the last of them. Each failure is in one row of each length of
-- step. `type` and `error` are * for what is beyond the limit of a step.
CREATE TABLE taskmill.failure (
    step_s integer NOT NULL,
    at timestamptz NOT NULL,
    type text NOT NULL,
    error text NOT NULL,
    tasks bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    task_id uuid NOT NULL,
    PRIMARY KEY (step_s, at, type, error)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (type, error, task_id)
    VALUES (NEW.type, taskmill.error_shape(NEW.error), NEW.id);
    RETURN NULL;
END $$;

-- The test stands in WHEN, so that what does not fail never calls the function.
CREATE TRIGGER task_failure AFTER UPDATE ON taskmill.task FOR EACH ROW
WHEN (NEW.status = 'failed' AND OLD.status <> 'failed')
EXECUTE FUNCTION taskmill.note_failure();

-- The latest that failed before; the trigger's lock keeps others from failing meanwhile.
INSERT INTO taskmill.failure_delta (at, type, error, task_id)
SELECT finished_at, type, taskmill.error_shape(error), id
FROM (
    SELECT id, type, finished_at, error FROM taskmill.task WHERE status = 'failed' ORDER BY id DESC LIMIT 5000
) AS latest;

ALTER TABLE taskmill.lease ADD COLUMN version text;
"""

UNDO = """
ALTER TABLE taskmill.lease DROP COLUMN version;

DROP TRIGGER task_failure ON taskmill.task;

DROP TABLE taskmill.failure, taskmill.failure_delta;

DROP FUNCTION taskmill.note_failure, taskmill.error_shape;
"""


def upgrade() -> None:
    for command in commands(FAILURES):
        op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
