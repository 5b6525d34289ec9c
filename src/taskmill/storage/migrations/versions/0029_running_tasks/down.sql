-- All processes are stopped, so nobody waits for it. Undoing a million tasks takes minutes.
SET LOCAL lock_timeout = '1min';

SET LOCAL statement_timeout = '1h';

DROP VIEW taskmill.current_task;

DROP TRIGGER task_transition ON taskmill.task;

DROP TRIGGER task_birth ON taskmill.task;

DROP TRIGGER task_failure ON taskmill.task;

DROP INDEX taskmill.task_ended, taskmill.task_queue_ended, taskmill.task_type_ended,
    taskmill.task_queue_type_ended;

ALTER TABLE taskmill.task
    DROP CONSTRAINT task_final_status,
    DROP CONSTRAINT task_finished_when_ended,
    ADD COLUMN lease_id uuid;

ALTER TABLE taskmill.task RENAME COLUMN final_status TO status;

UPDATE taskmill.task AS t
SET status = 'in_progress',
    lease_id = r.lease_id,
    claim_no = r.claim_no,
    attempt = r.attempt,
    version = r.version,
    started_at = r.started_at,
    cancel_requested = r.cancel_requested_at IS NOT NULL,
    updated_at = coalesce(r.cancel_requested_at, r.started_at)
FROM taskmill.running AS r
WHERE r.task_id = t.id AND t.status IS NULL;

UPDATE taskmill.task SET status = 'new' WHERE status IS NULL;

DROP TABLE taskmill.running;

DROP FUNCTION taskmill.refuse_running_change;

ALTER TABLE taskmill.task
    ALTER COLUMN status SET NOT NULL,
    ADD CONSTRAINT task_status CHECK (
        status IN ('new', 'in_progress', 'succeeded', 'failed', 'cancelled')),
    ADD CONSTRAINT task_lease_while_running CHECK ((lease_id IS NOT NULL) = (status = 'in_progress')),
    ADD CONSTRAINT task_finished_when_terminal CHECK (
        (finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled')));

CREATE INDEX task_status_id ON taskmill.task (status, id);

CREATE INDEX task_queue_status_id ON taskmill.task (queue, status, id);

CREATE INDEX task_type_status_id ON taskmill.task (type, status, id);

CREATE INDEX task_queue_type_status ON taskmill.task (queue, type, status) WHERE finished_at IS NOT NULL;

CREATE INDEX task_cancel_requested ON taskmill.task (lease_id) WHERE cancel_requested AND lease_id IS NOT NULL;

CREATE OR REPLACE FUNCTION taskmill.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % may not go from % (run %, version %) to % (run %, version %)',
        OLD.id, OLD.status, OLD.run, OLD.version, NEW.status, NEW.run, NEW.version
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

CREATE OR REPLACE FUNCTION taskmill.refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % must begin as new, version 1, not as %, version %',
        NEW.id, NEW.status, NEW.version
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

-- The whole condition is in WHEN, so that an allowed change never calls the function (a fifth of the cost).
CREATE TRIGGER task_transition BEFORE UPDATE ON taskmill.task FOR EACH ROW
WHEN (NOT (
    NEW.id = OLD.id
    AND NEW.version = OLD.version + 1
    AND CASE OLD.status
        WHEN 'new' THEN
            NEW.run = OLD.run AND (
                (NEW.status = 'in_progress' AND NEW.claim_no = OLD.claim_no + 1)
                OR (NEW.status IN ('new', 'cancelled', 'failed') AND NEW.claim_no = OLD.claim_no))
        WHEN 'in_progress' THEN
            NEW.run = OLD.run AND NEW.claim_no = OLD.claim_no
            AND (NEW.status <> 'in_progress' OR NEW.lease_id = OLD.lease_id)
        ELSE
            NEW.status = 'new' AND NEW.run = OLD.run + 1 AND NEW.claim_no = OLD.claim_no
            AND NEW.attempt = 0 AND NEW.losses = 0
    END))
EXECUTE FUNCTION taskmill.refuse_transition();

CREATE TRIGGER task_birth BEFORE INSERT ON taskmill.task FOR EACH ROW
WHEN (NEW.status <> 'new' OR NEW.version <> 1 OR NEW.run <> 1 OR NEW.claim_no <> 0)
EXECUTE FUNCTION taskmill.refuse_birth();

CREATE TRIGGER task_failure AFTER UPDATE ON taskmill.task FOR EACH ROW
WHEN (NEW.status = 'failed' AND OLD.status <> 'failed')
EXECUTE FUNCTION taskmill.note_failure();
