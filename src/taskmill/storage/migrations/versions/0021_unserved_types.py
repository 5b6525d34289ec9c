"""Types that wait without a contract and without a live worker are noted, so that there are not too many.

Their tasks wait for nobody, and each type is one more place to look at. `taskmill.create_task` notes them, too:
its text has one call more, before the one that makes the queue. Programs of before run with it, and note none.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE taskmill.unserved_type (
    name text NOT NULL PRIMARY KEY,
    noted_at timestamptz NOT NULL DEFAULT now()
)
"""

# Until the transaction ends nobody else can note a type that is new.
ENSURE_TYPE = """
CREATE FUNCTION taskmill.ensure_type(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF wanted IN ('emulate', 'http')
        OR EXISTS (SELECT FROM taskmill.task_type AS t WHERE t.name = wanted)
        OR EXISTS (
            SELECT FROM taskmill.lease AS l
            WHERE l.closed_at IS NULL AND l.expires_at > clock_timestamp()
                AND (wanted = ANY(l.types) OR '*' = ANY(l.types)))
        OR EXISTS (
            SELECT FROM taskmill.unserved_type AS u
            WHERE u.name = wanted AND u.noted_at > now() - interval '5 minutes')
    THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.unserved_type'));
    UPDATE taskmill.unserved_type AS u SET noted_at = now() WHERE u.name = wanted;
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO taskmill.unserved_type (name)
    SELECT wanted WHERE (SELECT count(*) FROM taskmill.unserved_type) < most;
    IF NOT FOUND THEN
        PERFORM taskmill.refuse(
            'unserved-type-limit-reached', 422, 'No more types may wait without a contract or a worker',
            'tasks of ' || most || ' types without a contract and without a live worker wait already, and no more '
                || 'such types may: start a worker for the type, or register a contract',
            jsonb_build_object('limit', most));
    END IF;
END $$
"""

_QUEUE = "    PERFORM taskmill.ensure_queue(used_queue, limits.queues);"
_TYPE = "    PERFORM taskmill.ensure_type(used_type, limits.unserved_types);"


def _replace_in_create_task(old: str, new: str) -> None:
    """Make the function anew with another text; what it is owned by and granted to stays."""
    text = op.get_bind().exec_driver_sql(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p "
        "WHERE p.pronamespace = 'taskmill'::regnamespace AND p.proname = 'create_task'"
    )
    definition = str(text.scalar_one())
    if definition.count(old) != 1:
        raise ValueError("taskmill.create_task is not as a migration has made it")
    op.get_bind().exec_driver_sql(definition.replace(old, new).replace("%", "%%"))


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(
        "ALTER TABLE taskmill.door_limit ADD COLUMN unserved_types integer NOT NULL DEFAULT 500"
    )
    op.execute(ENSURE_TYPE)
    op.execute("REVOKE ALL ON FUNCTION taskmill.ensure_type FROM PUBLIC")
    _replace_in_create_task(_QUEUE, f"{_TYPE}\n{_QUEUE}")


def downgrade() -> None:
    _replace_in_create_task(f"{_TYPE}\n{_QUEUE}", _QUEUE)
    op.execute("DROP FUNCTION taskmill.ensure_type")
    op.execute("ALTER TABLE taskmill.door_limit DROP COLUMN unserved_types")
    op.execute("DROP TABLE taskmill.unserved_type")
