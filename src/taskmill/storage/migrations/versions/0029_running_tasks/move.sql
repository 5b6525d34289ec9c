-- All processes are stopped, so nobody waits for these. Moving a million tasks takes minutes.
SET lock_timeout = '1min';

SET statement_timeout = '1h';

-- All or nothing, so that it can be repeated. Without the column `status`, the previous program does nothing by mistake.
-- Nor may one begin in the midst of it: what it claims would be lost.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'taskmill' AND pid <> pg_backend_pid()
    ) THEN
        RAISE EXCEPTION 'processes of Taskmill are connected: stop them first, then migrate';
    END IF;
    IF to_regclass('taskmill.running') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE TABLE taskmill.running (
        task_id uuid NOT NULL PRIMARY KEY,
        lease_id uuid NOT NULL,
        claim_no integer NOT NULL,
        attempt integer NOT NULL,
        version integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        cancel_requested_at timestamptz,
        queue text NOT NULL,
        CONSTRAINT running_claim CHECK (claim_no > 0 AND attempt > 0)
    ) WITH (
        autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 20000,
        autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0
    );
    -- For workers that ask once a second. It is nearly always empty.
    CREATE INDEX running_cancel_requested ON taskmill.running (lease_id) WHERE cancel_requested_at IS NOT NULL;
    DROP TRIGGER task_transition ON taskmill.task;
    DROP TRIGGER task_birth ON taskmill.task;
    DROP TRIGGER task_failure ON taskmill.task;
    ALTER TABLE taskmill.task
        DROP CONSTRAINT task_status,
        DROP CONSTRAINT task_lease_while_running,
        DROP CONSTRAINT task_finished_when_terminal,
        ALTER COLUMN status DROP NOT NULL;
    ALTER TABLE taskmill.task RENAME COLUMN status TO final_status;
END $$;

-- A claim is undone in `task`: what it changed is in `running`.
DO $$
DECLARE
    ids uuid[];
    last_id uuid = '00000000-0000-0000-0000-000000000000';
BEGIN
    LOOP
        ids = ARRAY(
            SELECT id FROM taskmill.task
            WHERE id > last_id AND final_status IN ('new', 'in_progress')
            ORDER BY id
            LIMIT 5000);
        EXIT WHEN ids = '{}';
        INSERT INTO taskmill.running (
            task_id, lease_id, claim_no, attempt, version, started_at, cancel_requested_at, queue)
        SELECT
            id, lease_id, claim_no, attempt, version, started_at, CASE WHEN cancel_requested THEN updated_at END,
            queue
        FROM taskmill.task
        WHERE id = ANY(ids) AND final_status = 'in_progress';
        UPDATE taskmill.task
        SET final_status = NULL,
            claim_no = claim_no - (final_status = 'in_progress')::integer,
            attempt = attempt - (final_status = 'in_progress')::integer,
            version = version - (final_status = 'in_progress')::integer - cancel_requested::integer,
            cancel_requested = false
        WHERE id = ANY(ids);
        last_id = ids[cardinality(ids)];
        COMMIT;
    END LOOP;
END $$
