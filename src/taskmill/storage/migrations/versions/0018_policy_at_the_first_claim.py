"""A task that nobody gave a policy takes that of its type at its first claim: `open_policy` says which parts.

Bits of `open_policy`: 1 max_attempts, 2 max_losses, 4 retry, 8 timeout_s. It is null when all was said at the
creation, and 0 when the first claim has taken the rest. Programs of before run with it: what they claim keeps the
service's policy.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW taskmill.type_policy AS
SELECT
    t.name AS type,
    (c.defaults ->> 'max_attempts')::integer AS max_attempts,
    (c.defaults ->> 'max_losses')::integer AS max_losses,
    (c.defaults ->> 'retry')::jsonb AS retry,
    (c.defaults ->> 'timeout_s')::double precision AS timeout_s
FROM taskmill.task_type AS t
JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
"""

# As `create_tasks.sql` was when this migration was written: a test tells who changes one and not the other.
STORE = """
CREATE FUNCTION taskmill.store_tasks(
    uuid[], text[], text[], text[], text[], text[], smallint[],
    timestamptz[], timestamptz[], integer[], integer[], text[],
    double precision[], timestamptz[], text[], text[], text[],
    text[], text[], bytea[], timestamptz[], smallint[]
) RETURNS TABLE (made_id uuid, made_number bigint, made_at timestamptz) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::integer[], $12::text[],
        $13::double precision[], $14::timestamptz[], $15::text[], $16::text[], $17::text[],
        $18::text[], $19::text[], $20::bytea[], $21::timestamptz[], $22::smallint[]
    ) AS input (
        id, name, description, type, payload, queue, priority,
        run_at, created_at, max_attempts, max_losses, retry,
        timeout_s, expires_at, labels, source, traceparent,
        scope, key, request_hash, key_expires_at, open_policy
    )
),
keyed AS (
    INSERT INTO taskmill.idempotency AS held (scope, key, task_id, request_hash, expires_at)
    SELECT scope, key, id, request_hash, key_expires_at FROM input WHERE key IS NOT NULL
    ON CONFLICT (scope, key) DO UPDATE
        SET task_id = excluded.task_id,
            request_hash = excluded.request_hash,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= now() OR held.task_id = excluded.task_id
    RETURNING task_id
),
created AS (
    INSERT INTO taskmill.task (
        id, name, description, type, payload, queue, priority, status, run_at, created_at,
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent, open_policy
    )
    SELECT
        id, name, description, type, payload::json, queue, priority, 'new', run_at, created_at,
        max_attempts, max_losses, retry::jsonb, timeout_s, expires_at, labels::jsonb, source,
        traceparent, open_policy
    FROM input
    WHERE key IS NULL OR id IN (SELECT task_id FROM keyed)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, number, queue, type, priority, run_at, expires_at, updated_at
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT id, queue, type, priority, run_at, expires_at FROM created
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at
    )
    SELECT id, 1, 'created', 'new', 1, 0, 0, 0, run_at FROM created
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(1) FROM created HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, 'new', count(*) FROM created GROUP BY queue
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, happening, tasks)
    SELECT queue, type, 'created', count(*) FROM created GROUP BY queue, type
)
SELECT id, number, updated_at
FROM created;
END $$
"""

# As migration 0010 made it.
STORE_BEFORE = """
CREATE FUNCTION taskmill.store_tasks(
    uuid[], text[], text[], text[], text[], text[], smallint[],
    timestamptz[], timestamptz[], integer[], integer[], text[],
    double precision[], timestamptz[], text[], text[], text[],
    text[], text[], bytea[], timestamptz[]
) RETURNS TABLE (made_id uuid, made_number bigint, made_at timestamptz) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::integer[], $12::text[],
        $13::double precision[], $14::timestamptz[], $15::text[], $16::text[], $17::text[],
        $18::text[], $19::text[], $20::bytea[], $21::timestamptz[]
    ) AS input (
        id, name, description, type, payload, queue, priority,
        run_at, created_at, max_attempts, max_losses, retry,
        timeout_s, expires_at, labels, source, traceparent,
        scope, key, request_hash, key_expires_at
    )
),
keyed AS (
    INSERT INTO taskmill.idempotency AS held (scope, key, task_id, request_hash, expires_at)
    SELECT scope, key, id, request_hash, key_expires_at FROM input WHERE key IS NOT NULL
    ON CONFLICT (scope, key) DO UPDATE
        SET task_id = excluded.task_id,
            request_hash = excluded.request_hash,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= now() OR held.task_id = excluded.task_id
    RETURNING task_id
),
created AS (
    INSERT INTO taskmill.task (
        id, name, description, type, payload, queue, priority, status, run_at, created_at,
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent
    )
    SELECT
        id, name, description, type, payload::json, queue, priority, 'new', run_at, created_at,
        max_attempts, max_losses, retry::jsonb, timeout_s, expires_at, labels::jsonb, source,
        traceparent
    FROM input
    WHERE key IS NULL OR id IN (SELECT task_id FROM keyed)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, number, queue, type, priority, run_at, expires_at, updated_at
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT id, queue, type, priority, run_at, expires_at FROM created
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at
    )
    SELECT id, 1, 'created', 'new', 1, 0, 0, 0, run_at FROM created
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(1) FROM created HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, 'new', count(*) FROM created GROUP BY queue
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, happening, tasks)
    SELECT queue, type, 'created', count(*) FROM created GROUP BY queue, type
)
SELECT id, number, updated_at FROM created;
END $$
"""

_BEFORE = "ARRAY[created_at + limits.key_validity]);"
_NOW = """ARRAY[created_at + limits.key_validity],
        ARRAY[CASE WHEN contract.form IS NULL AND used_type NOT IN ('emulate', 'http') THEN nullif(
            (max_attempts IS NULL)::integer + 2 * (max_losses IS NULL)::integer
            + 4 * (given_retry IS NULL)::integer + 8 * (timeout_s IS NULL)::integer, 0) END]::smallint[]);"""


def _replace(old: str, new: str) -> None:
    """Change a part of `create_task` as it is: other migrations may have changed other parts."""
    op.execute(f"""
        DO $migration$
        DECLARE
            now constant text = pg_get_functiondef('taskmill.create_task'::regproc);
            wanted constant text = replace(now, $old${old}$old$, $new${new}$new$);
        BEGIN
            IF wanted = now THEN
                RAISE EXCEPTION 'taskmill.create_task is not as it was made';
            END IF;
            EXECUTE wanted;
        END $migration$
    """)


def _have_store(text: str) -> None:
    op.execute("DROP FUNCTION taskmill.store_tasks")
    op.execute(text)
    op.execute("REVOKE ALL ON FUNCTION taskmill.store_tasks FROM PUBLIC")


def upgrade() -> None:
    op.execute("ALTER TABLE taskmill.task ADD COLUMN open_policy smallint")
    op.execute(VIEW)
    _have_store(STORE)
    _replace(_BEFORE, _NOW)


def downgrade() -> None:
    _replace(_NOW, _BEFORE)
    _have_store(STORE_BEFORE)
    op.execute("DROP VIEW taskmill.type_policy")
    op.execute("ALTER TABLE taskmill.task DROP COLUMN open_policy")
