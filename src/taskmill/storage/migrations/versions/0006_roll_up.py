"""The roll-up: what happened by minute, queue and type, with histograms of waiting and running.

Programs of before run with it; what they do is missing in the roll-up.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROLL_UP = """
-- A duration's place on a scale whose steps grow by e^0.2 (1.22): 0 is up to 1 ms, b is up to e^(b/5) ms, and 110
-- is 34 days and everything longer. The argument is used once, so that calls are inlined.
CREATE FUNCTION taskmill.duration_bucket(seconds double precision) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT least(ceil(5 * ln(greatest(seconds, 0.001) * 1000)), 110)::smallint $$;

-- A histogram is one number with 12 decimal digits for each bucket, the first ones last: sum() adds histograms.
CREATE FUNCTION taskmill.packed_bucket(tasks bigint, bucket smallint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (tasks::text || repeat('0', 12 * bucket))::numeric $$;

-- Insert-only, folded into task_minute once a second. `bucket` and `seconds` are of waiting for what was claimed,
-- of running for what ended an attempt, and null for the rest.
CREATE TABLE taskmill.task_minute_delta (
    at timestamptz NOT NULL DEFAULT now(),
    queue text NOT NULL,
    type text NOT NULL,
    happening text NOT NULL,
    bucket smallint,
    tasks bigint NOT NULL,
    seconds double precision
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- Minutes, and longer steps that past minutes are carried into. `type` is * for what is beyond the limit of types.
CREATE TABLE taskmill.task_minute (
    step_s integer NOT NULL,
    at timestamptz NOT NULL,
    queue text NOT NULL,
    type text NOT NULL,
    carried boolean NOT NULL DEFAULT false,
    created bigint NOT NULL,
    claimed bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    retry_scheduled bigint NOT NULL,
    handed_back bigint NOT NULL,
    lost bigint NOT NULL,
    expired bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_again bigint NOT NULL,
    waiting numeric NOT NULL,
    waiting_s double precision NOT NULL,
    running numeric NOT NULL,
    running_s double precision NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Only rows that are still open are added to. Those that were carried are part of a longer step, too.
CREATE UNIQUE INDEX task_minute_open ON taskmill.task_minute (step_s, at, queue, type) WHERE NOT carried;

CREATE INDEX task_minute_at ON taskmill.task_minute (step_s, at);
"""

UNDO = """
DROP TABLE taskmill.task_minute, taskmill.task_minute_delta;

DROP FUNCTION taskmill.packed_bucket, taskmill.duration_bucket;
"""


def upgrade() -> None:
    for command in commands(ROLL_UP):
        op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
