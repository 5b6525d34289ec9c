"""What lost workers ran, workers that stop when they are empty, callbacks that fail, failures by first line.

Programs of before run with it: their quiet workers stay quiet, and what they note has its first line, too. Kinds
of failures that are counted already get the name that the last of them has now; a traceback keeps its last line.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SHAPE = """
CREATE OR REPLACE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace({line}, '\\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$
"""
_TRIMMED = r"btrim(coalesce(error ->> 'message', ''), E' \t\r\n')"
_LAST_LINE = rf"regexp_replace(right({_TRIMMED}, 4000), '^.*[\r\n]', '')"
# What happened stands at a traceback's end, and at the beginning of all else.
_LINE = rf"""CASE
            WHEN starts_with({_TRIMMED}, 'Traceback') THEN {_LAST_LINE}
            ELSE regexp_replace(left({_TRIMMED}, 4000), '[\r\n].*$', '')
        END"""

# Few: of callbacks that were tried and not taken.
_FAILING = """
CREATE INDEX webhook_delivery_failing ON taskmill.webhook_delivery (lane)
WHERE state = 'pending' AND trouble IS NOT NULL AND webhook_id IS NULL
"""

_RENAME = """
CREATE TEMPORARY TABLE renamed ON COMMIT DROP AS
SELECT
    f.step_s, f.at, f.type, f.error, f.tasks, f.first_at, f.last_at, f.task_id,
    taskmill.error_shape(t.error) AS name
FROM taskmill.failure AS f
INNER JOIN taskmill.task AS t ON t.id = f.task_id
WHERE f.type <> '*' AND t.error IS NOT NULL AND taskmill.error_shape(t.error) <> f.error;

DELETE FROM taskmill.failure AS f
USING renamed AS r
WHERE (f.step_s, f.at, f.type, f.error) = (r.step_s, r.at, r.type, r.error);

INSERT INTO taskmill.failure AS f (step_s, at, type, error, tasks, first_at, last_at, task_id)
SELECT
    step_s, at, type, name, sum(tasks), min(first_at), max(last_at), (array_agg(task_id ORDER BY last_at DESC))[1]
FROM renamed
GROUP BY step_s, at, type, name
ON CONFLICT (step_s, at, type, error) DO UPDATE SET
    tasks = f.tasks + excluded.tasks,
    first_at = least(f.first_at, excluded.first_at),
    last_at = greatest(f.last_at, excluded.last_at),
    task_id = CASE WHEN excluded.last_at > f.last_at THEN excluded.task_id ELSE f.task_id END;
"""


def upgrade() -> None:
    op.execute(
        "ALTER TABLE taskmill.lease ADD COLUMN stop_when_empty boolean NOT NULL DEFAULT false"
    )
    op.execute("ALTER TABLE taskmill.lease ADD COLUMN lost_task_ids uuid[] NOT NULL DEFAULT '{}'")
    op.execute(_FAILING)
    op.execute(_SHAPE.format(line=_LINE))
    # Nobody folds meanwhile.
    op.execute("LOCK TABLE taskmill.failure IN SHARE ROW EXCLUSIVE MODE")
    for command in commands(_RENAME):
        op.execute(command)


def downgrade() -> None:
    op.execute(_SHAPE.format(line=_LAST_LINE))
    op.execute("DROP INDEX taskmill.webhook_delivery_failing")
    op.execute("ALTER TABLE taskmill.lease DROP COLUMN lost_task_ids")
    op.execute("ALTER TABLE taskmill.lease DROP COLUMN stop_when_empty")
